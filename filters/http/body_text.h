#pragma once
// BodyText: bytes that a filter hands on instead of a body's, until its next hook; one block of the
// stream's arena, taken anew when more is needed.  (A row of growing ones is at most twice the
// last.)

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "proxy/base/arena.h"

namespace pillion::filters {

class BodyText {
 public:
  // Room for `size` bytes; what was there is gone.
  char* reserve(Arena& arena, size_t size) {
    if (size > capacity_) {
      capacity_ = std::max(size, 2 * capacity_);
      bytes_ = arena.allocate_array<char>(capacity_);
    }
    return bytes_;
  }
  // What was written up to `end`.
  [[nodiscard]] std::string_view until(const char* end) const {
    return {bytes_, static_cast<size_t>(end - bytes_)};
  }

 private:
  char* bytes_ = nullptr;
  size_t capacity_ = 0;
};

}  // namespace pillion::filters
