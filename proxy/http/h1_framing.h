#pragma once
// What only HTTP/1 says about where a body ends and what becomes of its connection (RFC 9112, 6 and
// 9).  Collected field by field; the parsers judge it at the head's end.

#include <cstdint>
#include <string_view>

#include "proxy/base/failure.h"
#include "proxy/http/field_rules.h"
#include "proxy/http/headers.h"

namespace pillion::http {

struct H1Framing : MessageFacts {
  // Connection fields that name other fields: where their values stand in the head.
  struct Span {
    uint32_t begin;
    uint32_t size;
  };
  Span nominating[2];
  uint8_t nominating_count = 0;
  uint8_t nominated = 0;  // names in them
  bool has_chunked : 1 = false;
  bool close : 1 = false;
  bool keep_alive : 1 = false;
  bool wants_upgrade : 1 = false;
  bool hides_client : 1 = false;  // Connection names x-forwarded-*
};

// What each of these fields says; kNone, or why it is refused.
FailureKind take_transfer_encoding(std::string_view value, H1Framing& framing) noexcept;
// `field` is a view into the head that begins at `data`.
FailureKind take_connection(const char* data, std::string_view field, H1Framing& framing) noexcept;
// At the end of the head, which still begins at `data`: removes what Connection names
// (RFC 9110, 7.6.1).
void remove_nominated(const char* data, const H1Framing& framing, Headers& headers) noexcept;

}  // namespace pillion::http
