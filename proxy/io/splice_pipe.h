#pragma once
// SplicePipe: a kernel pipe through which bytes go from one socket to another without a copy to
// user space (splice(2)).  Pipes are pooled per thread: making one costs three system calls.

#include <cstddef>

#include "proxy/io/transport.h"

namespace pillion::io {

class SplicePipe {
 public:
  static constexpr size_t kBytes = 1024 * 1024;

  SplicePipe() = default;
  ~SplicePipe() { release(); }
  SplicePipe(const SplicePipe&) = delete;
  SplicePipe& operator=(const SplicePipe&) = delete;

  // Takes a pipe from the pool or makes one; false when no descriptors are left.
  bool open() noexcept;
  // Gives the pipe back to the pool, or closes it if bytes are left in it.
  void release() noexcept;
  [[nodiscard]] bool is_open() const noexcept { return read_end_ >= 0; }
  [[nodiscard]] size_t size() const noexcept { return held_; }

  // From the socket into the pipe.
  IoResult fill(int from_fd) noexcept;
  // From the pipe to the socket; a count below size() means the socket is full.
  IoResult drain(int to_fd) noexcept;
  // errno of the last kError.
  [[nodiscard]] int error() const noexcept { return error_; }

 private:
  int read_end_ = -1;
  int write_end_ = -1;
  int error_ = 0;
  size_t held_ = 0;
};

}  // namespace pillion::io
