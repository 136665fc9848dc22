#pragma once
// HeadStash: the bytes of a head that came in pieces, contiguous, until it is complete.
// Bounded by the caller's H1Limits; empty (16 bytes, no memory) for heads that come whole.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

#include "proxy/http/message.h"

namespace pillion::http {

inline void rebase_head(Headers& fields, const char* from, size_t, const char* to) noexcept {
  fields.rebase(from, to);
}

class HeadStash {
 public:
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] char* data() noexcept { return bytes_.get(); }
  [[nodiscard]] size_t size() const noexcept { return size_; }

  // Adds `n` bytes that lie at `from`.  Views of `head` into `from` (when the stash was empty) or
  // into the stash are moved along.
  template <typename Head>
  void append(const char* from, size_t n, Head& head) {
    const char* old = size_ == 0 ? from : bytes_.get();
    const size_t old_size = size_ == 0 ? n : size_;
    if (size_ + n > capacity_) {  // an empty stash has no capacity
      capacity_ = static_cast<uint32_t>(std::max<size_t>((size_ + n) * 2, 2048));
      std::unique_ptr<char[]> larger(new char[capacity_]);
      if (size_ != 0) std::memcpy(larger.get(), bytes_.get(), size_);
      rebase_head(head, old, old_size, larger.get());
      bytes_ = std::move(larger);
    }
    std::memcpy(bytes_.get() + size_, from, n);
    size_ += static_cast<uint32_t>(n);
  }
  void clear() noexcept {
    bytes_.reset();
    size_ = capacity_ = 0;
  }

 private:
  std::unique_ptr<char[]> bytes_;
  uint32_t size_ = 0;
  uint32_t capacity_ = 0;
};

}  // namespace pillion::http
