#pragma once
// H2RequestReader: makes a RequestHead, or trailers, of the fields of one HTTP/2 header block
// (RFC 9113, 8.1-8.3).  What it shares with H1RequestParser is judged in http/field_rules.h.
//
// One per stream, used for its head and its trailers in turn:
//   begin(head) | begin_trailers(trailers), add(name, value, limits)*, finish(end)
// Text is copied into the arena of what is filled.  What is wrong is remembered, and further fields
// are not kept: finish() says it.

#include <cstdint>
#include <string_view>

#include "proxy/base/failure.h"
#include "proxy/http/field_rules.h"
#include "proxy/http/limits.h"
#include "proxy/http/message.h"

namespace pillion::http {

class H2RequestReader {
 public:
  // `takes_protocol`: `:protocol` may come, and the head that it makes is that of an upgrade.
  void begin(RequestHead& head, bool takes_protocol = false) noexcept;
  void begin_trailers(Headers& trailers) noexcept;
  // `sensitive`: never to be indexed (Field::never_index).
  void add(std::string_view name, std::string_view value, const H1Limits& limits, bool sensitive);
  // kNone; kH2Malformed, which resets the stream; or what is answered: kH2HeadTooLarge,
  // kH2TooManyFields, kMissingHost, kBadExpect.  `end`: END_STREAM.
  FailureKind finish(bool end);
  // Of the fields of the block, as HTTP/1 would write them.
  [[nodiscard]] uint32_t bytes() const noexcept { return bytes_; }

 private:
  void add_pseudo(std::string_view name, std::string_view value, bool sensitive);
  void add_regular(std::string_view name, std::string_view value, bool sensitive);
  void take_host(std::string_view value, bool sensitive);
  void take(FailureKind refused) noexcept;
  void join_cookies();
  FailureKind finish_head(bool end);
  [[nodiscard]] FailureKind finish_connect() noexcept;
  void fail(FailureKind kind) noexcept {
    if (failure_ == FailureKind::kNone) failure_ = kind;
  }

  RequestHead* head_ = nullptr;  // null: trailers
  Headers* fields_ = nullptr;
  uint32_t bytes_ = 0;
  uint32_t count_ = 0;
  uint32_t crumbs_ = 0;  // Cookie fields
  MessageFacts facts_;
  FailureKind failure_ = FailureKind::kNone;
  bool saw_regular_ : 1 = false;
  bool has_path_ : 1 = false;
  bool has_authority_ : 1 = false;
  bool takes_protocol_ : 1 = false;
};

}  // namespace pillion::http
