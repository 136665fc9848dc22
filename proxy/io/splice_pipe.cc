#include "proxy/io/splice_pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace pillion::io {
namespace {

struct Pair {
  int read_end;
  int write_end;
};

// Empty pipes of this thread.  A pipe without bytes holds no pages, only descriptors.
struct Pool {
  std::vector<Pair> free;
  ~Pool() {
    for (const Pair& p : free) {
      ::close(p.read_end);
      ::close(p.write_end);
    }
  }
};
constexpr size_t kPooled = 16;
thread_local Pool pool;

}  // namespace

bool SplicePipe::open() noexcept {
  if (is_open()) return true;
  if (!pool.free.empty()) {
    read_end_ = pool.free.back().read_end;
    write_end_ = pool.free.back().write_end;
    pool.free.pop_back();
    return true;
  }
  int ends[2];
  if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return false;
  // Refused beyond the user's quota of pipe pages: the default of 64 KiB works too, only slower.
  static_cast<void>(::fcntl(ends[0], F_SETPIPE_SZ, static_cast<int>(kBytes)));
  read_end_ = ends[0];
  write_end_ = ends[1];
  return true;
}

void SplicePipe::release() noexcept {
  if (!is_open()) return;
  if (held_ == 0 && pool.free.size() < kPooled) {
    pool.free.push_back({read_end_, write_end_});
  } else {
    ::close(read_end_);
    ::close(write_end_);
  }
  read_end_ = write_end_ = -1;
  held_ = 0;
}

IoResult SplicePipe::fill(int from_fd) noexcept {
  ssize_t n;
  do {
    n = ::splice(from_fd, nullptr, write_end_, nullptr, kBytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  } while (n < 0 && errno == EINTR);
  if (n > 0) {
    held_ += static_cast<size_t>(n);
    return {static_cast<size_t>(n), IoStatus::kOk};
  }
  if (n == 0) return {0, IoStatus::kEof};
  if (errno == EAGAIN) return {0, IoStatus::kAgain};
  error_ = errno;
  return {0, IoStatus::kError};
}

IoResult SplicePipe::drain(int to_fd) noexcept {
  size_t moved = 0;
  while (held_ != 0) {
    ssize_t n;
    do {
      n = ::splice(read_end_, nullptr, to_fd, nullptr, held_, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) break;
    if (n <= 0) {
      error_ = errno;
      return {moved, IoStatus::kError};
    }
    held_ -= static_cast<size_t>(n);
    moved += static_cast<size_t>(n);
  }
  return {moved, IoStatus::kOk};
}

}  // namespace pillion::io
