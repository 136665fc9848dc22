#pragma once
// Parsers of HTTP/1 heads (RFC 9112), strict: what is not allowed is refused, never repaired.
//
// A parser reads a head that starts at `data` and may be incomplete.  When it is, the caller calls
// again with the same head from its first byte once more bytes came; each byte is looked at once.
// When the bytes moved in between, or before they go away, rebase_head() moves the views with them.
// Field names are lower-cased in place.
//
// By room: h1_fields.cc (lines of fields, trailers), h1_request_line.cc, h1_request_parser.cc,
// h1_response_parser.cc; h1_framing.h has what fields say of a body's end.
//
//   H1RequestParser parser;             // member of a connection
//   parser.begin();
//   switch (parser.parse(data, size, limits, head)) { ... parser.head_bytes() ... }

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proxy/base/failure.h"
#include "proxy/http/h1_framing.h"
#include "proxy/http/limits.h"
#include "proxy/http/message.h"

namespace pillion::http {

enum class ParseStatus : uint8_t { kNeedMore, kDone, kFailed };

// The part that requests, responses and trailers share: lines of fields.
class H1FieldParser {
 public:
  // Bytes of the head, its last empty line included; valid after kDone.
  [[nodiscard]] uint32_t head_bytes() const noexcept { return position_; }
  // Of a request: what the client is told.  Of a response: kHeadTooLarge, kTooManyFields or
  // kUpstreamProtocol, for counters.
  [[nodiscard]] FailureKind failure() const noexcept { return failure_; }
  // After kFailed: views of the head lie below this offset.
  [[nodiscard]] uint32_t touched_bytes() const noexcept {
    return scanned_ > position_ ? scanned_ : position_;
  }

 protected:
  void begin_lines() noexcept {
    position_ = scanned_ = fields_ = 0;
    failure_ = FailureKind::kNone;
  }
  // True when the line at position_ is complete within `max_bytes` of the head; scanned_ is its LF.
  bool has_line(const char* data, size_t size, size_t max_bytes) noexcept;
  // Parses the line at position_; kDone at the empty line.
  ParseStatus parse_field(char* data, size_t size, Field& out) noexcept;
  ParseStatus fail(FailureKind kind) noexcept {
    failure_ = kind;
    return ParseStatus::kFailed;
  }

  uint32_t position_ = 0;  // where the next line begins
  uint32_t scanned_ = 0;   // the LF of the current line; before it is found: none is below
  uint32_t fields_ = 0;
  FailureKind failure_ = FailureKind::kNone;
  bool in_fields_ = false;
};

class H1RequestParser : public H1FieldParser {
 public:
  void begin() noexcept {
    begin_lines();
    in_fields_ = false;
    framing_ = {};
    blank_lines_ = 0;
  }
  ParseStatus parse(char* data, size_t size, const H1Limits& limits, RequestHead& head);

 private:
  ParseStatus parse_request_line(char* data, const H1Limits& limits, RequestHead& head);
  ParseStatus take_field(const char* data, const Field& field, RequestHead& head);
  ParseStatus finish(const char* data, const H1Limits& limits, RequestHead& head);
  ParseStatus finish_target(const H1Limits& limits, RequestHead& head);
  H1Framing framing_;
  uint32_t blank_lines_ = 0;
};

class H1ResponseParser : public H1FieldParser {
 public:
  void begin() noexcept {
    begin_lines();
    in_fields_ = false;
    framing_ = {};
  }
  // `request_method` decides whether the response has a body (RFC 9112, 6.3).
  ParseStatus parse(char* data, size_t size, const H1Limits& limits, Method request_method,
                    ResponseHead& head);

 private:
  ParseStatus parse_status_line(char* data, ResponseHead& head);
  ParseStatus take_field(const char* data, const Field& field, ResponseHead& head);
  ParseStatus finish(const char* data, Method request_method, ResponseHead& head);
  H1Framing framing_;
};

// Fields after the last chunk.  Framing and routing fields are refused (RFC 9110, 6.5.1).
class H1TrailerParser : public H1FieldParser {
 public:
  void begin() noexcept { begin_lines(); }
  ParseStatus parse(char* data, size_t size, const H1Limits& limits, Headers& trailers);
};

}  // namespace pillion::http
