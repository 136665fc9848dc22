#include "proxy/base/log_file.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "proxy/base/str.h"

namespace pillion {
namespace {

std::string open_failure(const std::string& path, int error) {
  std::string text = str("cannot open \"", path, "\" for writing: ", std::strerror(error));
  if (error == ENXIO) text += " (nobody reads this FIFO)";
  if (error == ENOENT) text += " (does its directory exist?)";
  return text;
}

}  // namespace

Result<int> LogOutput::open_path(const std::string& path, unsigned mode) {
  // The process's own streams are duplicated: opening /dev/stdout fails for sockets, and would
  // truncate the position of a redirected file.
  const int stream = path == "/dev/stdout"   ? STDOUT_FILENO
                     : path == "/dev/stderr" ? STDERR_FILENO
                                             : -1;
  const int fd = stream >= 0 ? ::fcntl(stream, F_DUPFD_CLOEXEC, 3)
                             : ::open(path.c_str(),
                                      O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, mode);
  if (fd < 0) return Error{open_failure(path, errno)};
  return fd;
}

LogOutput::LogOutput(int fd, std::string path) : path_(std::move(path)), fd_(fd) {
  if (path_ == "/dev/stdout" || path_ == "/dev/stderr") path_.clear();
  look_at_descriptor();
}

LogOutput::~LogOutput() { ::close(fd_); }

void LogOutput::look_at_descriptor() noexcept {
  struct stat status{};
  may_block_ = ::fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode);
}

bool LogOutput::append(std::string_view line) {
  if (waiting() + line.size() > kMaxWaiting) {
    ++lost_lines_;
    return false;
  }
  waiting_ += line;
  return true;
}

LogOutput::Outcome LogOutput::write() {
  stalled_ = false;
  if (cut_line_ && waiting() != 0) {
    waiting_.insert(sent_, 1, '\n');
    cut_line_ = false;
  }
  while (sent_ < waiting_.size()) {
    size_t length = waiting_.size() - sent_;
    if (may_block_) {
      // The descriptor is shared with other processes, so it is not ours to make non-blocking. When
      // poll() reports room, a pipe takes PIPE_BUF bytes at once (pipe(7)).
      pollfd poll_fd{fd_, POLLOUT, 0};
      if (::poll(&poll_fd, 1, 0) == 0) return stalled_ = true, forget_sent(), Outcome::kStalled;
      length = std::min<size_t>(length, PIPE_BUF);
    }
    const ssize_t n = ::write(fd_, waiting_.data() + sent_, length);
    if (n > 0) {
      sent_ += static_cast<size_t>(n);
      written_bytes_ += static_cast<size_t>(n);
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      return stalled_ = true, forget_sent(), Outcome::kStalled;
    } else {
      return give_up(n < 0 ? errno : EIO);
    }
  }
  forget_sent();
  return Outcome::kDone;
}

LogOutput::Outcome LogOutput::give_up(int error) {
  error_ = error;
  const std::string_view rest = std::string_view(waiting_).substr(sent_);
  lost_lines_ += static_cast<uint64_t>(std::count(rest.begin(), rest.end(), '\n'));
  cut_line_ = sent_ > 0 && waiting_[sent_ - 1] != '\n';
  sent_ = waiting_.size();
  forget_sent();
  return Outcome::kFailed;
}

void LogOutput::forget_sent() {
  waiting_.erase(0, sent_);
  sent_ = 0;
  if (waiting_.empty() && waiting_.capacity() > 128 * 1024) waiting_.shrink_to_fit();
}

Status<> LogOutput::reopen() {
  if (path_.empty()) return Ok{};
  struct stat before{};
  constexpr unsigned kReadAndWrite = 0666;
  const bool is_file = ::fstat(fd_, &before) == 0 && S_ISREG(before.st_mode);
  const Result<int> fd =
      is_file ? open_path(path_, before.st_mode & kReadAndWrite) : open_path(path_);
  if (!fd) return Error{fd.error()};
  ::close(fd_);
  fd_ = *fd;
  cut_line_ = stalled_ = false;
  look_at_descriptor();
  return Ok{};
}

}  // namespace pillion
