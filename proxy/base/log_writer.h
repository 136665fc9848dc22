#pragma once
// LogWriter: the thread that owns every log descriptor.  Workers hand it whole lines and never
// wait.
//
//   LogWriter writer({.flush_interval = 10s});
//   writer.start();
//   auto file = writer.open("/var/log/access.log");     // while configuring
//   (*file)->append(line);                              // any thread, data path
//   writer.reopen();                                    // SIGUSR1, after a rotation
//   writer.stop();                                      // writes what is left
//
// Each thread that appends gets a queue of its own (LogQueue), so lines of one thread keep their
// order and lines are never mixed.  A queue that is full, a disk that is full, a pipe that nobody
// reads: lines are dropped and counted.  A line is written at the latest after its file's flush
// interval, or when flush_bytes wait.  While nothing waits the thread sleeps without a deadline.
//
// The LogWriter outlives the LogFiles, and the threads that append end (or stop appending) before
// stop() returns.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/log_file.h"
#include "proxy/base/log_queue.h"
#include "proxy/base/result.h"

namespace pillion {

class LogWriter;

// A destination of lines.  Closed when the last reference is gone and its lines are written.
class LogFile {
 public:
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  // `line` ends with '\n'.  False: dropped, and counted.
  bool append(std::string_view line);

 private:
  friend class LogWriter;
  LogFile(LogWriter& writer, uint32_t id, uint32_t interval_ms)
      : writer_(writer), id_(id), interval_ms_(interval_ms) {}
  LogWriter& writer_;
  const uint32_t id_;
  const uint32_t interval_ms_;
};

struct LogWriterOptions {
  Duration flush_interval = std::chrono::seconds(10);  // --file-flush-interval-msec
  size_t flush_bytes = 64 * 1024;                      // --file-flush-min-size-kb
  size_t queue_bytes = 1024 * 1024;                    // of lines on their way, per thread
};

// Since the start; Envoy's filesystem.* counters and what was lost.
struct LogWriterStats {
  uint64_t dropped = 0;  // lines that found a queue full
  uint64_t lost = 0;     // lines that a file refused
  uint64_t written_bytes = 0;
  uint64_t write_failed = 0;  // times a file refused bytes
  uint64_t flushed_by_timer = 0;
  uint64_t reopen_failed = 0;
  uint64_t wake_ups = 0;  // of the thread
};

class LogWriter {
 public:
  // Turns a record into the line to write; runs on the writer thread.
  using Render = void (*)(std::string_view record, std::string& out);

  explicit LogWriter(LogWriterOptions options = {});
  ~LogWriter();  // as stop()
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  void start();
  // Writes everything that waits (a second for what is stalled), then ends the thread.  Idempotent.
  void stop();

  // Any thread, off the data path.  The same path gives the same file while it is open.
  // `flush_interval`: for this file; the process's own streams never wait more than a second.
  Result<std::shared_ptr<LogFile>> open(const std::string& path,
                                        std::optional<Duration> flush_interval = {});
  // Records for the descriptor (not closed) pass through `render` and are written at once.  `path`
  // is where reopen() finds it; empty: nowhere.
  std::shared_ptr<LogFile> open_stream(int fd, Render render, std::string path = {});

  // Opens every path anew, after writing what waits for the old files.
  void reopen();
  // Waits until every line appended before is written or lost; false after `timeout`.  Without a
  // running thread the caller writes.
  bool flush(Duration timeout = std::chrono::seconds(5));
  [[nodiscard]] LogWriterStats stats() const;

 private:
  friend class LogFile;
  struct Entry {
    Entry(int fd, std::string path, Render r, uint32_t ms)
        : output(fd, std::move(path)), render(r), interval_ms(ms) {}
    LogOutput output;
    Render render;
    uint32_t interval_ms;
    Instant deadline{};  // none: nothing waits
    std::atomic<bool> closing{false};
  };
  // Values of sleep_ms_ beside "asleep for at most that many milliseconds".
  static constexpr uint32_t kAwake = 0;
  static constexpr uint32_t kForever = UINT32_MAX;

  bool append(uint32_t id, uint32_t interval_ms, std::string_view line);
  LogQueue& queue_of_this_thread();
  LogQueue& add_queue();
  std::shared_ptr<LogFile> add_file(int fd, std::string path, Render render, uint32_t interval_ms);
  void close(uint32_t id);
  void wake() noexcept;

  // Of the writer thread (or of the caller while there is none); all hold turn_.
  void run();
  void turn();
  void drain_queues();
  void take(uint32_t id, std::string_view record, Instant now);
  void write_due(Instant now);
  void write_file(Entry& entry);
  void reopen_files();
  void remove_closed();
  void finish_flush();
  void report_drops();
  void sleep();
  [[nodiscard]] bool has_work();
  [[nodiscard]] bool has_waiting();

  const LogWriterOptions options_;
  const uint64_t id_;  // of this writer, for the threads' tables of queues
  const int event_fd_;
  std::thread thread_;

  // Guards what follows, up to the blank line.  Entries are removed, and what is in them is used,
  // by the holder of turn_ only, so that writing needs no lock.
  mutable std::mutex mutex_;
  std::map<uint32_t, std::unique_ptr<Entry>> files_;
  std::map<std::string, std::weak_ptr<LogFile>> by_path_;
  std::vector<std::shared_ptr<LogQueue>> queues_;
  uint32_t next_file_ = 1;
  uint64_t flush_asked_ = 0;
  uint64_t flush_done_ = 0;
  uint64_t dropped_before_ = 0;  // of queues that are gone
  std::condition_variable flushed_;

  std::mutex turn_;
  std::vector<Entry*> entries_;  // of this turn
  std::string rendered_;
  uint64_t flush_seen_ = 0;
  uint64_t drops_reported_ = 0;

  std::atomic<uint32_t> sleep_ms_{kAwake};
  std::atomic<bool> running_{false};
  std::atomic<bool> reopen_asked_{false};
  std::atomic<bool> flush_pending_{false};
  std::atomic<bool> close_pending_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> lost_{0};
  std::atomic<uint64_t> written_bytes_{0};
  std::atomic<uint64_t> write_failed_{0};
  std::atomic<uint64_t> flushed_by_timer_{0};
  std::atomic<uint64_t> reopen_failed_{0};
  std::atomic<uint64_t> wake_ups_{0};
};

}  // namespace pillion
