#include "proxy/base/log_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "proxy/base/assert.h"
#include "proxy/base/log.h"

namespace pillion {
namespace {

// The queue that this thread used last.  Trivial, so that using it costs no guard.
thread_local uint64_t last_writer = 0;
thread_local LogQueue* last_queue = nullptr;
thread_local bool thread_is_over = false;

// The queues of this thread, one for each writer (in the product: one).
struct ThreadQueues {
  ~ThreadQueues() {
    for (auto& [writer, queue] : queues) queue->orphan();
    last_writer = 0;
    thread_is_over = true;
  }
  std::vector<std::pair<uint64_t, std::shared_ptr<LogQueue>>> queues;
};
thread_local ThreadQueues thread_queues;

uint64_t next_writer_id() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

uint32_t clamp_ms(Duration d) {
  return static_cast<uint32_t>(std::clamp<int64_t>(to_millis(d), 0, UINT32_MAX - 1));
}

}  // namespace

LogFile::~LogFile() { writer_.close(id_); }
bool LogFile::append(std::string_view line) { return writer_.append(id_, interval_ms_, line); }

LogWriter::LogWriter(LogWriterOptions options)
    : options_(options),
      id_(next_writer_id()),
      event_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  ASSERT(event_fd_ >= 0);
}

LogWriter::~LogWriter() {
  stop();
  ::close(event_fd_);
}

void LogWriter::start() {
  ASSERT(!running_.load());
  // Signals are the control thread's.  Blocked, a broken pipe is an error here and no signal.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  stopping_.store(false);
  running_.store(true);
  thread_ = std::thread([this] { run(); });
  ::pthread_setname_np(thread_.native_handle(), "log_writer");
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void LogWriter::stop() {
  if (!running_.load()) {
    flush();
    return;
  }
  flush(std::chrono::seconds(1));
  stopping_.store(true);
  wake();
  thread_.join();
  running_.store(false);
  flush();  // what the thread itself had to say
}

// --- Any thread
// -----------------------------------------------------------------------------------

Result<std::shared_ptr<LogFile>> LogWriter::open(const std::string& path,
                                                 std::optional<Duration> flush_interval) {
  {
    const std::lock_guard lock(mutex_);
    if (auto known = by_path_.find(path); known != by_path_.end()) {
      if (auto file = known->second.lock()) return file;
    }
  }
  const Result<int> fd = LogOutput::open_path(path);
  if (!fd) return Error{fd.error()};
  Duration interval = flush_interval.value_or(options_.flush_interval);
  if (path == "/dev/stdout" || path == "/dev/stderr") {
    interval = std::min<Duration>(interval, std::chrono::seconds(1));  // somebody is watching
  }
  return add_file(*fd, path, nullptr, clamp_ms(interval));
}

std::shared_ptr<LogFile> LogWriter::open_stream(int fd, Render render, std::string path) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  return copy < 0 ? nullptr : add_file(copy, std::move(path), render, 0);
}

std::shared_ptr<LogFile> LogWriter::add_file(int fd, std::string path, Render render,
                                             uint32_t interval_ms) {
  const std::lock_guard lock(mutex_);
  const uint32_t id = next_file_++;
  std::shared_ptr<LogFile> file(new LogFile(*this, id, interval_ms));
  // What is rendered is nobody else's: lines for the same path do not come here.
  if (!path.empty() && render == nullptr) by_path_[path] = file;
  files_.emplace(id, std::make_unique<Entry>(fd, std::move(path), render, interval_ms));
  return file;
}

void LogWriter::close(uint32_t id) {
  {
    const std::lock_guard lock(mutex_);
    if (auto file = files_.find(id); file != files_.end()) file->second->closing = true;
    std::erase_if(by_path_, [](const auto& known) { return known.second.expired(); });
  }
  close_pending_.store(true);
  wake();
}

bool LogWriter::append(uint32_t id, uint32_t interval_ms, std::string_view line) {
  if (thread_is_over) return false;
  LogQueue& queue = queue_of_this_thread();
  if (!queue.push(id, line)) return false;
  // push() publishes and sleep() announces sequentially consistently: one of us sees the other.
  if (interval_ms < sleep_ms_.load(std::memory_order_seq_cst) || queue.passed(options_.flush_bytes))
    wake();
  return true;
}

LogQueue& LogWriter::queue_of_this_thread() {
  return last_writer == id_ ? *last_queue : add_queue();
}

LogQueue& LogWriter::add_queue() {
  auto& mine = thread_queues.queues;
  auto known =
      std::find_if(mine.begin(), mine.end(), [this](const auto& e) { return e.first == id_; });
  if (known == mine.end()) {
    auto queue = std::make_shared<LogQueue>(options_.queue_bytes);
    const std::lock_guard lock(mutex_);
    queues_.push_back(queue);
    known = mine.emplace(mine.end(), id_, std::move(queue));
  }
  last_writer = id_;
  last_queue = known->second.get();
  return *last_queue;
}

void LogWriter::wake() noexcept {
  if (sleep_ms_.exchange(kAwake, std::memory_order_seq_cst) == kAwake) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(event_fd_, &one, sizeof one);
}

void LogWriter::reopen() {
  reopen_asked_.store(true);
  wake();
  if (!running_.load()) flush();
}

bool LogWriter::flush(Duration timeout) {
  std::unique_lock lock(mutex_);
  const uint64_t mine = ++flush_asked_;
  flush_pending_.store(true);
  if (!running_.load()) {
    lock.unlock();
    turn();
    lock.lock();
    return flush_done_ >= mine;
  }
  wake();
  return flushed_.wait_for(lock, timeout, [this, mine] { return flush_done_ >= mine; });
}

LogWriterStats LogWriter::stats() const {
  LogWriterStats stats;
  {
    const std::lock_guard lock(mutex_);
    stats.dropped = dropped_before_;
    for (const auto& queue : queues_) stats.dropped += queue->dropped();
  }
  stats.lost = lost_.load(std::memory_order_relaxed);
  stats.written_bytes = written_bytes_.load(std::memory_order_relaxed);
  stats.write_failed = write_failed_.load(std::memory_order_relaxed);
  stats.flushed_by_timer = flushed_by_timer_.load(std::memory_order_relaxed);
  stats.reopen_failed = reopen_failed_.load(std::memory_order_relaxed);
  stats.wake_ups = wake_ups_.load(std::memory_order_relaxed);
  return stats;
}

// --- The writer thread
// ----------------------------------------------------------------------------

void LogWriter::run() {
  while (!stopping_.load()) {
    turn();
    sleep();
    wake_ups_.fetch_add(1, std::memory_order_relaxed);
  }
}

void LogWriter::turn() {
  const std::lock_guard turn(turn_);
  const bool must_reopen = reopen_asked_.exchange(false);
  drain_queues();
  write_due(MonotonicClock::now());
  if (must_reopen) reopen_files();
  remove_closed();
  finish_flush();
  report_drops();
}

void LogWriter::drain_queues() {
  const Instant now = MonotonicClock::now();
  const std::lock_guard lock(mutex_);
  flush_pending_.store(false);
  flush_seen_ = flush_asked_;
  for (const auto& queue : queues_) {
    queue->drain([this, now](uint32_t id, std::string_view record) { take(id, record, now); });
  }
  std::erase_if(queues_, [this](const auto& queue) {
    if (!queue->is_orphaned() || queue->has_records()) return false;
    dropped_before_ += queue->dropped();
    return true;
  });
  entries_.clear();
  for (const auto& [id, entry] : files_) entries_.push_back(entry.get());
}

void LogWriter::take(uint32_t id, std::string_view record, Instant now) {
  const auto found = files_.find(id);
  if (found == files_.end()) return;  // closed, and its lines were written
  Entry& entry = *found->second;
  if (entry.render != nullptr) {
    rendered_.clear();
    entry.render(record, rendered_);
    record = rendered_;
  }
  if (!entry.output.append(record)) {
    lost_.fetch_add(1, std::memory_order_relaxed);
  } else if (entry.deadline == Instant{}) {
    entry.deadline = now + std::chrono::milliseconds(entry.interval_ms);
  }
}

void LogWriter::write_due(Instant now) {
  for (Entry* entry : entries_) {
    const size_t waiting = entry->output.waiting();
    if (waiting == 0) continue;
    const bool must = flush_seen_ > flush_done_ || entry->closing ||
                      waiting >= options_.flush_bytes || entry->output.is_stalled();
    if (!must && now < entry->deadline) continue;
    if (!must && entry->interval_ms != 0) flushed_by_timer_.fetch_add(1, std::memory_order_relaxed);
    write_file(*entry);
  }
}

void LogWriter::write_file(Entry& entry) {
  LogOutput& output = entry.output;
  const uint64_t lost = output.lost_lines();
  const uint64_t written = output.written_bytes();
  const LogOutput::Outcome outcome = output.write();
  if (outcome != LogOutput::Outcome::kStalled) entry.deadline = {};
  written_bytes_.fetch_add(output.written_bytes() - written, std::memory_order_relaxed);
  if (outcome != LogOutput::Outcome::kFailed) return;
  lost_.fetch_add(output.lost_lines() - lost, std::memory_order_relaxed);
  write_failed_.fetch_add(1, std::memory_order_relaxed);
  if (entry.render != nullptr) return;  // the operational log cannot tell of its own end
  static log::Limit limit{std::chrono::seconds(10)};
  log::error(limit, log::kFile, "lines lost: the log file refuses to be written",
             {{"path", output.path()}, {"reason", std::strerror(output.error())}});
}

void LogWriter::reopen_files() {
  for (Entry* entry : entries_) {
    if (entry->output.waiting() != 0) write_file(*entry);
    const Status<> status = entry->output.reopen();
    if (status) continue;
    reopen_failed_.fetch_add(1, std::memory_order_relaxed);
    log::error(log::kFile, "log file not reopened, the old one stays",
               {{"reason", status.error()}});
  }
}

void LogWriter::remove_closed() {
  // Lines appended before a close may have come after this turn's drain.
  if (close_pending_.exchange(false)) drain_queues();
  bool any = false;
  for (Entry* entry : entries_) {
    if (!entry->closing) continue;
    any = true;
    if (entry->output.waiting() != 0) write_file(*entry);
  }
  if (!any) return;
  const std::lock_guard lock(mutex_);
  std::erase_if(files_, [this](const auto& file) {
    Entry* entry = file.second.get();
    if (!entry->closing || entry->output.is_stalled()) return false;
    std::erase(entries_, entry);
    return true;
  });
}

void LogWriter::finish_flush() {
  if (flush_seen_ <= flush_done_ || has_waiting()) return;
  const std::lock_guard lock(mutex_);
  flush_done_ = flush_seen_;
  flushed_.notify_all();
}

void LogWriter::report_drops() {
  const LogWriterStats now = stats();
  if (now.dropped == drops_reported_) return;
  static log::Limit limit{std::chrono::seconds(10)};
  log::warning(limit, log::kFile, "lines dropped: they come faster than they can be written",
               {{"dropped", now.dropped - drops_reported_}});
  drops_reported_ = now.dropped;
}

bool LogWriter::has_waiting() {
  return std::any_of(entries_.begin(), entries_.end(),
                     [](const Entry* e) { return e->output.waiting() != 0; });
}

bool LogWriter::has_work() {
  if (stopping_.load() || reopen_asked_.load() || flush_pending_.load() || close_pending_.load())
    return true;
  const std::lock_guard lock(mutex_);
  return std::any_of(queues_.begin(), queues_.end(),
                     [](const auto& queue) { return queue->has_records(); });
}

void LogWriter::sleep() {
  std::vector<pollfd> polled{{event_fd_, POLLIN, 0}};
  Instant deadline{};
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, entry] : files_) {
      if (entry->output.is_stalled()) {
        polled.push_back({entry->output.fd(), POLLOUT, 0});
      } else if (entry->deadline != Instant{} &&
                 (deadline == Instant{} || entry->deadline < deadline)) {
        deadline = entry->deadline;
      }
    }
    if (deadline == Instant{}) {
      for (const auto& queue : queues_) queue->trim();
    }
  }
  int timeout = -1;
  if (deadline != Instant{}) {
    timeout =
        static_cast<int>(std::max<int64_t>(0, to_millis(deadline - MonotonicClock::now()) + 1));
  }
  sleep_ms_.store(timeout < 0 ? kForever : static_cast<uint32_t>(timeout),
                  std::memory_order_seq_cst);
  if (!has_work()) ::poll(polled.data(), polled.size(), timeout);
  sleep_ms_.store(kAwake, std::memory_order_seq_cst);
  uint64_t count;
  [[maybe_unused]] const ssize_t n = ::read(event_fd_, &count, sizeof count);
}

}  // namespace pillion
