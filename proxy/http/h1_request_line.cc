// The line that begins a request: method, target and version, and what the target's form means.
#include <cstring>

#include "proxy/http/authority.h"
#include "proxy/http/field_rules.h"
#include "proxy/http/h1_parser.h"
#include "proxy/http/h1_scan.h"

namespace pillion::http {

// The line ends at data[scanned_], a LF.
ParseStatus H1RequestParser::parse_request_line(char* data, const H1Limits& limits,
                                                RequestHead& head) {
  const char* p = data + position_;
  const char* const lf = data + scanned_;
  // First, as for a line that is not complete yet: one verdict however the bytes were cut.
  if (kTokenLower[static_cast<uint8_t>(*p)] == 0 && *p != '\r' && *p != '\n')
    return fail(FailureKind::kBadMethod);
  if (lf == p || lf[-1] != '\r') return fail(FailureKind::kBareCrOrLf);
  const char* const end = lf - 1;
  if (p == end) {
    if (++blank_lines_ > limits.max_blank_lines) return fail(FailureKind::kTooManyBlankLines);
    position_ += 2;
    return ParseStatus::kNeedMore;
  }
  if (std::memchr(p, '\r', static_cast<size_t>(end - p)) != nullptr)
    return fail(FailureKind::kBareCrOrLf);
  const char* const method = p;
  while (kTokenLower[static_cast<uint8_t>(*p)] != 0) ++p;
  if (*p != ' ' || p == method || static_cast<size_t>(p - method) > kMaxMethod)
    return fail(FailureKind::kBadMethod);
  head.method_text = {method, static_cast<size_t>(p - method)};
  head.method = find_method(head.method_text);
  if (head.method == Method::kOther && !is_method_spelling(head.method_text))
    return fail(FailureKind::kBadMethod);
  const char* const target = ++p;
  p = find_target_end(p, end);
  if (p == end && p != target) return fail(FailureKind::kBadRequestLine);
  if (p == target || *p != ' ') return fail(FailureKind::kBadUrl);
  head.path = {target, static_cast<size_t>(p - target)};
  ++p;
  if (end - p != 8 || std::memcmp(p, "HTTP/", 5) != 0) return fail(FailureKind::kBadRequestLine);
  const bool digits = p[5] >= '0' && p[5] <= '9' && p[6] == '.' && p[7] >= '0' && p[7] <= '9';
  if (!digits) return fail(FailureKind::kBadRequestLine);
  if (p[5] != '1' || (p[7] != '1' && p[7] != '0')) return fail(FailureKind::kBadVersion);
  head.protocol = p[7] == '1' ? Protocol::kHttp11 : Protocol::kHttp10;
  position_ = scanned_ + 1;
  in_fields_ = true;
  return ParseStatus::kDone;
}

// The four forms of a request target (RFC 9112, 3.2), reduced to authority and path.
ParseStatus H1RequestParser::finish_target(const H1Limits& limits, RequestHead& head) {
  const std::string_view target = head.path;
  if (head.method == Method::kConnect) {
    const FailureKind problem = judge_connect(target, framing_);
    if (problem != FailureKind::kNone) return fail(problem);
    if (framing_.has_host && !is_same_host(head.authority, target))
      return fail(FailureKind::kHostMismatch);
    if (framing_.has_chunked) return fail(FailureKind::kBadTransferEncoding);
    head.authority = target;
    head.path = {};
    return ParseStatus::kDone;
  }
  if (is_plain_target(head.method, target)) return ParseStatus::kDone;
  const size_t scheme_end = target.find("://");
  if (scheme_end == std::string_view::npos || !limits.allow_absolute_url)
    return fail(FailureKind::kBadUrl);
  if (known_scheme(target.substr(0, scheme_end)).empty()) return fail(FailureKind::kBadUrl);
  const std::string_view rest = target.substr(scheme_end + 3);
  const size_t path_begin = rest.find_first_of("/?#");
  const std::string_view authority = rest.substr(0, path_begin);
  if (!is_valid_authority(authority)) return fail(FailureKind::kBadUrl);
  // RFC 9112, 3.2.2: the target wins; a Host that says otherwise is a smuggling attempt.
  if (framing_.has_host && !is_same_host(head.authority, authority))
    return fail(FailureKind::kHostMismatch);
  head.authority = authority;
  if (path_begin == std::string_view::npos) {
    head.path = head.method == Method::kOptions ? "*" : "/";  // RFC 9112, 3.2.4
    return ParseStatus::kDone;
  }
  head.path = rest.substr(path_begin);
  if (head.path.front() == '#') return fail(FailureKind::kBadUrl);
  if (head.path.front() == '/') return ParseStatus::kDone;
  auto* path = head.headers.arena().allocate_array<char>(head.path.size() + 1);
  path[0] = '/';
  std::memcpy(path + 1, head.path.data(), head.path.size());
  head.path = {path, head.path.size() + 1};
  return ParseStatus::kDone;
}

}  // namespace pillion::http
