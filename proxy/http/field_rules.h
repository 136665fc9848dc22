#pragma once
// The rules that a message obeys whatever protocol brought it (RFC 9110; RFC 9112, 3 and RFC 9113,
// 8.1-8.3 where they agree): the one room in which names, values, targets, hosts, lengths and what
// else a message stands on are judged.  HTTP/1's parsers and HTTP/2's readers ask here, so that the
// same message is accepted or refused alike; fuzz_h2_differential holds them to it.
//
// What only one of them can say is judged there: folding, Transfer-Encoding and Connection in
// h1_framing.h, pseudo-fields and END_STREAM in h2_request.h and h2_response.h.
//
// A refusal is named as HTTP/1 answers it (base/failures.inc); HTTP/2 resets the stream instead.

#include <cstdint>
#include <string_view>

#include "proxy/base/failure.h"
#include "proxy/http/h1_scan.h"
#include "proxy/http/limits.h"
#include "proxy/http/message.h"

namespace pillion::http {

// ---- names and values ----

// What a field costs beyond its text: ": " and CR LF, in both protocols.
inline constexpr uint32_t kFieldOverhead = 4;

// A token without upper-case letters, as HTTP/2 spells names.
inline bool is_lower_case_token(std::string_view name) noexcept {
  for (const char c : name) {
    if (kTokenLower[static_cast<uint8_t>(c)] != c || c == 0) return false;
  }
  return !name.empty();
}

// No control characters but tabs, and no space around it.  HTTP/1 trims that space, HTTP/2 may not
// have it (RFC 9113, 8.2.1).
inline bool is_bare_value(std::string_view value) noexcept {
  if (value.empty()) return true;
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  if (is_space(value.front()) || is_space(value.back())) return false;
  const char* const end = value.data() + value.size();
  const char* p = find_control(value.data(), end);
  while (p != end && *p == '\t') p = find_control(p + 1, end);
  return p == end;
}

// Of ASCII alone (RFC 9110, 5.5: obs-text is the rest).
inline bool is_ascii(std::string_view value) noexcept {
  unsigned char all = 0;
  for (const char c : value) all |= static_cast<unsigned char>(c);
  return all < 0x80;
}

// Speaks of an HTTP/1 connection: never part of an HTTP/2 message (RFC 9113, 8.2.2).
constexpr bool is_connection_specific(HeaderId id) noexcept {
  return id == HeaderId::kConnection || id == HeaderId::kKeepAlive ||
         id == HeaderId::kProxyConnection || id == HeaderId::kTransferEncoding ||
         id == HeaderId::kUpgrade;
}

// Framing, routing, identity and what changes how a body is read (RFC 9110, 6.5.1): a receiver that
// merges trailers into its fields would take these from a place that nobody checked.
constexpr bool is_forbidden_in_trailers(HeaderId id) noexcept {
  switch (id) {
    case HeaderId::kAuthorization:
    case HeaderId::kConnection:
    case HeaderId::kContentEncoding:
    case HeaderId::kContentLength:
    case HeaderId::kContentType:
    case HeaderId::kCookie:
    case HeaderId::kExpect:
    case HeaderId::kHost:
    case HeaderId::kKeepAlive:
    case HeaderId::kProxyAuthorization:
    case HeaderId::kProxyConnection:
    case HeaderId::kTe:
    case HeaderId::kTrailer:
    case HeaderId::kTransferEncoding:
    case HeaderId::kUpgrade:
    case HeaderId::kXForwardedClientCert:
    case HeaderId::kXForwardedFor:
    case HeaderId::kXForwardedHost:
    case HeaderId::kXForwardedProto:
      return true;
    default:
      return false;
  }
}

// Of the fields behind a body, together.
constexpr uint32_t max_trailer_bytes(const H1Limits& limits) noexcept {
  return limits.max_bytes < kMaxTrailerBytes ? limits.max_bytes : kMaxTrailerBytes;
}

// Splits "a, b" at commas; false at the end.  For fields that are lists (RFC 9110, 5.6.1).
bool next_list_member(std::string_view& list, std::string_view& member) noexcept;

// ---- requests ----

// Extension methods are tokens too, but nobody means more than this.
inline constexpr size_t kMaxMethod = 32;

// Methods that have a name here are spelled as it is.  Of the others, none with a letter in lower
// case: no registered method has one, and to servers that ignore case "get" were another GET.
constexpr bool is_method_spelling(std::string_view method) noexcept {
  for (const char c : method) {
    if (c >= 'a' && c <= 'z') return false;
  }
  return true;
}

// Visible ASCII and nothing else.
inline bool is_target_text(std::string_view target) noexcept {
  const char* const end = target.data() + target.size();
  return !target.empty() && find_target_end(target.data(), end) == end;
}
// "/a?b", or "*" of OPTIONS: the forms that a target has once its authority is told apart
// (RFC 9112, 3.2; RFC 9113, 8.3.1).  `target` is not empty.
constexpr bool is_plain_target(Method method, std::string_view target) noexcept {
  return target.front() == '/' || (method == Method::kOptions && target == "*");
}
// The scheme that a target or :scheme names, as a literal; empty for others than http and https.
std::string_view known_scheme(std::string_view text) noexcept;
// Host and the authority of a target, or of :authority, must be one (RFC 9112, 3.2.2).
bool is_same_host(std::string_view host, std::string_view authority) noexcept;

// What fields said so far of the message that they belong to.
struct MessageFacts {
  uint64_t content_length = 0;
  bool has_length = false;
  bool has_host = false;
};

// The fields that a message stands on: what each says goes into `facts` or the head, and the field
// itself is not kept.  kNone, or why it is refused.

// 1*DIGIT, once: "5, 5" and a second field are two opinions, be they equal (RFC 9110, 8.6).
FailureKind take_length(std::string_view value, MessageFacts& facts) noexcept;
// Once.  May be empty (RFC 9110, 7.2); not in :authority.
FailureKind take_host(std::string_view value, MessageFacts& facts) noexcept;
// 100-continue is the only expectation there is.
FailureKind take_expect(std::string_view value, RequestHead& head) noexcept;
// Without a body there is nothing to wait for.
inline void settle_expectation(RequestHead& head) noexcept {
  const bool is_empty = head.framing == Framing::kNone ||
                        (head.framing == Framing::kLength && head.content_length == 0);
  if (is_empty) head.expects_continue = false;
}
// Of TE only "trailers" goes on.  True: it says nothing else.
bool take_te(std::string_view value, RequestHead& head) noexcept;

// Of CONNECT: where to, with a port (RFC 9110, 9.3.6), and no body, which would be a second opinion
// on what the tunnel's bytes are.
FailureKind judge_connect(std::string_view authority, const MessageFacts& facts) noexcept;

// ---- responses ----

// "200" -> 200; 0 for what is no status (RFC 9110, 15: 100 to 599).
constexpr uint16_t parse_status(std::string_view text) noexcept {
  if (text.size() != 3) return 0;
  uint16_t status = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return 0;
    status = static_cast<uint16_t>(status * 10 + (c - '0'));
  }
  return status >= 100 && status <= 599 ? status : 0;
}
// Without a body, whatever its fields say (RFC 9112, 6.3).
constexpr bool is_bodiless(uint16_t status, Method request_method) noexcept {
  return status < 200 || status == 204 || status == 304 || request_method == Method::kHead;
}
// The answer to CONNECT that begins a tunnel.
constexpr bool opens_tunnel(uint16_t status, Method request_method) noexcept {
  return request_method == Method::kConnect && status / 100 == 2;
}
// Takes over what Content-Length said.  False: of a response that can have none it said that bytes
// follow.
inline bool settle_length(const MessageFacts& facts, ResponseHead& head) noexcept {
  const bool may_say = head.status >= 200 && head.status != 204;
  head.has_content_length = may_say && facts.has_length;
  head.content_length = facts.content_length;
  return may_say || facts.content_length == 0;
}

}  // namespace pillion::http
