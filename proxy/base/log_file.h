#pragma once
// LogOutput: one descriptor that log lines go to, with the bytes that wait for it.  Owned and used
// by the writer thread only; see log_writer.h for everybody else's view.
//
// A full disk, a closed pipe or a reader that does not read costs lines, never the process: write()
// does not block on pipes, sockets and terminals, and gives bytes up when the file refuses them.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/base/clock.h"
#include "proxy/base/result.h"

namespace pillion {

class LogOutput {
 public:
  // More than this waiting for a reader who does not read: further lines are dropped.
  static constexpr size_t kMaxWaiting = 1024 * 1024;

  // `path` opened for appending and made if need be; "/dev/stdout" and "/dev/stderr" are the
  // process's own.  A FIFO that nobody reads is an error.  `mode`: of a file that is made.
  static Result<int> open_path(const std::string& path, unsigned mode = 0644);

  // Takes the descriptor; `path` is empty when there is nothing to open again.
  LogOutput(int fd, std::string path);
  ~LogOutput();
  LogOutput(const LogOutput&) = delete;
  LogOutput& operator=(const LogOutput&) = delete;

  // False: too much waits already.
  bool append(std::string_view line);
  [[nodiscard]] size_t waiting() const noexcept { return waiting_.size() - sent_; }
  [[nodiscard]] bool is_stalled() const noexcept { return stalled_; }
  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  enum class Outcome : uint8_t { kDone, kStalled, kFailed };
  // Writes what waits.  kStalled: try again when the descriptor is writable.  kFailed: the rest was
  // thrown away; error() says why.
  Outcome write();
  [[nodiscard]] int error() const noexcept { return error_; }
  // Lines thrown away so far, for whatever reason.
  [[nodiscard]] uint64_t lost_lines() const noexcept { return lost_lines_; }
  [[nodiscard]] uint64_t written_bytes() const noexcept { return written_bytes_; }

  // Opens `path` anew after a rotation; a new file may be read by whom the old one could be.  On an
  // error the old file stays.
  Status<> reopen();

 private:
  void look_at_descriptor() noexcept;
  Outcome give_up(int error);
  void forget_sent();

  std::string path_;
  std::string waiting_;
  size_t sent_ = 0;  // of waiting_
  uint64_t lost_lines_ = 0;
  uint64_t written_bytes_ = 0;
  int fd_;
  int error_ = 0;
  bool may_block_ = false;  // not a regular file
  bool stalled_ = false;
  bool cut_line_ = false;  // the file ends within a line
};

}  // namespace pillion
