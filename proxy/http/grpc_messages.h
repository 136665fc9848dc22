#pragma once
// GrpcMessages: counts the messages of a gRPC body that comes in pieces, and builds their prefixes.
// A message is a byte of flags, four of length (the most significant first), and so many bytes
// (gRPC over HTTP/2, "Length-Prefixed-Message").

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace pillion::http {

inline constexpr size_t kGrpcPrefix = 5;

// kGrpcPrefix bytes at `out`.
inline void write_grpc_prefix(char* out, uint8_t flags, uint32_t length) noexcept {
  out[0] = static_cast<char>(flags);
  for (int i = 0; i < 4; ++i) out[i + 1] = static_cast<char>(length >> (24 - 8 * i));
}

class GrpcMessages {
 public:
  // How many messages begin in this piece (Envoy counts them there).
  uint32_t take(std::string_view bytes) noexcept {
    uint32_t begun = 0;
    while (!bytes.empty()) {
      if (left_ != 0) {
        const size_t n = std::min<size_t>(left_, bytes.size());
        left_ -= static_cast<uint32_t>(n);
        bytes.remove_prefix(n);
        continue;
      }
      if (prefix_ == 0) ++begun;
      length_ = length_ << 8 | static_cast<uint8_t>(bytes.front());  // the flags leave at the top
      bytes.remove_prefix(1);
      if (++prefix_ < kGrpcPrefix) continue;
      left_ = length_;
      prefix_ = 0;
    }
    count_ += begun;
    return begun;
  }
  [[nodiscard]] uint64_t count() const noexcept { return count_; }

 private:
  uint64_t count_ = 0;
  uint32_t left_ = 0;    // of the message that is being read
  uint32_t length_ = 0;  // as far as its prefix is read
  uint8_t prefix_ = 0;   // bytes of the next prefix
};

}  // namespace pillion::http
