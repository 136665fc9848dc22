#pragma once
// H2ResponseReader: makes a ResponseHead, or trailers, of the fields of one HTTP/2 header block
// (RFC 9113, 8.1-8.3).  What it shares with H1ResponseParser is judged in http/field_rules.h.
//
// One per stream, used for its interim heads, its head and its trailers in turn:
//   begin(head) | begin_trailers(trailers), add(name, value)*, finish(end)
// Text is copied into the arena of what is filled.  What is wrong is remembered: finish() says it.

#include <cstdint>
#include <string_view>

#include "proxy/base/failure.h"
#include "proxy/http/field_rules.h"
#include "proxy/http/limits.h"
#include "proxy/http/message.h"

namespace pillion::http {

class H2ResponseReader {
 public:
  void begin(ResponseHead& head) noexcept;
  void begin_trailers(Headers& trailers) noexcept;
  // `sensitive`: never to be indexed (Field::never_index).
  void add(std::string_view name, std::string_view value, const H1Limits& limits, bool sensitive);
  // kNone, kUpstreamProtocol (malformed), kHeadTooLarge or kTooManyFields.  `end`: the block ends
  // the response.  `method`: of the request.
  FailureKind finish(Method method, bool end);

 private:
  void add_pseudo(std::string_view name, std::string_view value);
  void add_regular(std::string_view name, std::string_view value, bool sensitive);
  FailureKind finish_head(Method method, bool end);
  void fail(FailureKind kind) noexcept {
    if (failure_ == FailureKind::kNone) failure_ = kind;
  }

  ResponseHead* head_ = nullptr;  // null: trailers
  Headers* fields_ = nullptr;
  uint32_t bytes_ = 0;
  uint32_t count_ = 0;
  MessageFacts facts_;
  FailureKind failure_ = FailureKind::kNone;
  bool saw_regular_ = false;
};

}  // namespace pillion::http
