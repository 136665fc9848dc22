#include "proxy/http/field_rules.h"

#include "proxy/base/str.h"
#include "proxy/http/authority.h"

namespace pillion::http {
namespace {

// 1*DIGIT without sign or space; false on overflow.
bool parse_length(std::string_view text, uint64_t& out) noexcept {
  if (text.empty() || text.size() > 18) return false;
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  out = value;
  return true;
}

// "[::1]:80" and "h:80", but not "h", "h:" or "[::1]".
bool has_port(std::string_view authority) noexcept {
  const size_t colon = authority.rfind(':');
  return colon != std::string_view::npos && colon + 1 != authority.size() &&
         authority.find(']', colon) == std::string_view::npos;
}

}  // namespace

bool next_list_member(std::string_view& list, std::string_view& member) noexcept {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    member = trim(list.substr(0, comma));
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
    if (!member.empty()) return true;
  }
  return false;
}

// ---- requests ----

std::string_view known_scheme(std::string_view text) noexcept {
  if (equals_ignore_case(text, "http")) return "http";
  return equals_ignore_case(text, "https") ? "https" : "";
}

bool is_same_host(std::string_view host, std::string_view authority) noexcept {
  return equals_ignore_case(host, authority);
}

FailureKind take_length(std::string_view value, MessageFacts& facts) noexcept {
  if (facts.has_length || !parse_length(value, facts.content_length))
    return FailureKind::kBadContentLength;
  facts.has_length = true;
  return FailureKind::kNone;
}

FailureKind take_host(std::string_view value, MessageFacts& facts) noexcept {
  if (facts.has_host) return FailureKind::kBadHost;
  facts.has_host = true;
  return value.empty() || is_valid_authority(value) ? FailureKind::kNone : FailureKind::kBadHost;
}

FailureKind take_expect(std::string_view value, RequestHead& head) noexcept {
  if (!equals_ignore_case(value, "100-continue")) return FailureKind::kBadExpect;
  head.expects_continue = true;
  return FailureKind::kNone;
}

bool take_te(std::string_view value, RequestHead& head) noexcept {
  std::string_view coding;
  bool is_alone = true;
  while (next_list_member(value, coding)) {
    const bool trailers = equals_ignore_case(coding, "trailers");
    head.te_trailers = head.te_trailers || trailers;
    is_alone = is_alone && trailers;
  }
  return is_alone;
}

FailureKind judge_connect(std::string_view authority, const MessageFacts& facts) noexcept {
  if (!is_valid_authority(authority) || !has_port(authority)) return FailureKind::kBadUrl;
  if (facts.has_length && facts.content_length != 0) return FailureKind::kBadContentLength;
  return FailureKind::kNone;
}

}  // namespace pillion::http
