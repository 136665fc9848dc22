#pragma once
// BodyText: bytes that a filter hands on instead of a body's, until its next hook.  They lie in the
// stream's arena while they are few, then in a block of the thread's that goes back with the arena:
// what a piece of a body becomes fits in there, so that a long call costs no allocation and its
// arena does not grow.

#include <cstddef>
#include <string_view>

#include "proxy/base/arena.h"

namespace pillion::filters {

class BodyText {
 public:
  // A piece of a body is 17 KiB at most (core/http_filter.h); in base64 it is a third longer.
  static constexpr size_t kBlockBytes = 24 * 1024;

  // Room for `size` bytes; what was there is gone.
  char* reserve(Arena& arena, size_t size) {
    if (size > capacity_) [[unlikely]]
      grow(arena, size);
    return bytes_;
  }
  // What was written up to `end`.
  [[nodiscard]] std::string_view until(const char* end) const {
    return {bytes_, static_cast<size_t>(end - bytes_)};
  }

 private:
  void grow(Arena& arena, size_t size);

  char* bytes_ = nullptr;
  size_t capacity_ = 0;
};

}  // namespace pillion::filters
