#pragma once
// The messages of a gRPC stream: one byte (0: not compressed), four of length, the message
// (gRPC over HTTP/2, "Length-Prefixed-Message").
//
// Memory: at most one message that is not complete, of at most `max_bytes`.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/http/grpc_messages.h"

namespace pillion::http {

std::string grpc_frame(std::string_view message);

class GrpcFrames {
 public:
  explicit GrpcFrames(size_t max_bytes) : max_bytes_(max_bytes) {}

  // Calls fn(std::string_view message) for each that `bytes` complete; fn returns false to stop,
  // and the reader must not be used after that.  Returns what is wrong with the stream, or null.
  template <typename Fn>
  const char* feed(std::string_view bytes, Fn&& fn) {
    while (!bytes.empty()) {
      if (buffer_.size() < kPrefix) {
        take(bytes, kPrefix);
        if (buffer_.size() < kPrefix) return nullptr;
        if (const char* wrong = check_prefix()) return wrong;
      }
      take(bytes, kPrefix + size());
      if (buffer_.size() < kPrefix + size()) return nullptr;
      const bool goes_on = fn(std::string_view(buffer_).substr(kPrefix));
      if (!goes_on) return nullptr;
      reset();
    }
    // An empty message is complete with its prefix.
    return nullptr;
  }
  // Is a message cut off here?
  [[nodiscard]] bool is_inside() const { return !buffer_.empty(); }
  void reset();

 private:
  static constexpr size_t kPrefix = kGrpcPrefix;
  static constexpr size_t kKept = size_t{64} << 10;

  void take(std::string_view& bytes, size_t until);
  [[nodiscard]] const char* check_prefix() const;
  [[nodiscard]] size_t size() const;

  size_t max_bytes_;
  std::string buffer_;
};

}  // namespace pillion::http
