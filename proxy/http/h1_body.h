#pragma once
// Where a body ends, and its bytes without framing (RFC 9112, 6 and 7).
//
// H1BodyReader is a member of a connection: begin() at each head, then feed() with what was read.
// Chunked data is compacted in place: the pieces of one read come out as one view where they are
// small, so that a sender of one-byte chunks does not make us write one-byte chunks.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proxy/base/failure.h"
#include "proxy/http/message.h"

namespace pillion::http {

class H1BodyReader {
 public:
  struct Result {
    std::string_view data;  // body bytes, in the caller's buffer; may be empty
    size_t consumed = 0;    // of the input
    bool done = false;      // the body is complete; for chunked, trailers follow in the input
    FailureKind failure = FailureKind::kNone;
  };

  void begin(Framing framing, uint64_t content_length) noexcept {
    framing_ = framing;
    remaining_ = framing == Framing::kLength ? content_length : 0;
    state_ = State::kSize;
    digits_ = 0;
    extension_ = 0;
    overhead_ = 0;
  }
  // Takes a prefix of `input`; call again with the rest until done or everything is consumed.
  Result feed(char* input, size_t size) noexcept;

  [[nodiscard]] Framing framing() const noexcept { return framing_; }
  // Bytes still to come by Content-Length.
  [[nodiscard]] uint64_t remaining() const noexcept { return remaining_; }

 private:
  enum class State : uint8_t { kSize, kExtension, kSizeLf, kData, kDataCr, kDataLf };
  Result feed_chunked(char* input, size_t size) noexcept;
  // One byte of framing; kNone while all is well.
  FailureKind step(char c) noexcept;

  uint64_t remaining_ = 0;  // of the body, or of the current chunk
  uint32_t overhead_ = 0;   // bytes of extensions beyond one per byte of data
  uint16_t extension_ = 0;
  uint8_t digits_ = 0;
  State state_ = State::kSize;
  Framing framing_ = Framing::kNone;
  bool last_chunk_ = false;
};

}  // namespace pillion::http
