#include "proxy/http/h1_parser.h"

#include <cstring>

#include "proxy/base/str.h"
#include "proxy/http/h1_scan.h"

namespace pillion::http {
namespace {

// 1*DIGIT without sign or space; false on overflow (RFC 9110, 8.6).
bool parse_length(std::string_view text, uint64_t& out) noexcept {
  if (text.empty() || text.size() > 18) return false;
  uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  out = value;
  return true;
}

// "5, 5" is one length said twice by a careless sender; RFC 9110, 8.6 allows to refuse it.
FailureKind take_length(std::string_view value, H1Framing& framing) noexcept {
  if (framing.has_length) return FailureKind::kBadContentLength;
  if (!parse_length(value, framing.content_length)) return FailureKind::kBadContentLength;
  framing.has_length = true;
  return FailureKind::kNone;
}

// Only "chunked", once: any other coding, or chunked under another, cannot be forwarded safely.
FailureKind take_transfer_encoding(std::string_view value, H1Framing& framing) noexcept {
  if (framing.has_chunked || !equals_ignore_case(value, "chunked")) {
    return FailureKind::kBadTransferEncoding;
  }
  framing.has_chunked = true;
  return FailureKind::kNone;
}

// More names in Connection than anybody sends in good faith cost a search each.
constexpr uint8_t kMaxNominated = 32;

// False when a Connection field names too many others.
bool take_connection(const char* data, const std::string_view field, H1Framing& framing) noexcept {
  std::string_view value = field;
  std::string_view option;
  bool nominates = false;
  while (next_list_member(value, option)) {
    if (equals_ignore_case(option, "close")) {
      framing.close = true;
    } else if (equals_ignore_case(option, "keep-alive")) {
      framing.keep_alive = true;
    } else if (equals_ignore_case(option, "upgrade")) {
      framing.wants_upgrade = true;
    } else {
      nominates = true;
      // What proxies in front of us say of the client is not the client's to take away.
      if (option.size() > 12 && equals_ignore_case(option.substr(0, 12), "x-forwarded-"))
        framing.hides_client = true;
      if (++framing.nominated > kMaxNominated) return false;
    }
  }
  if (!nominates) return true;
  if (framing.nominating_count == std::size(framing.nominating)) return false;
  framing.nominating[framing.nominating_count++] = {static_cast<uint32_t>(field.data() - data),
                                                    static_cast<uint32_t>(field.size())};
  return true;
}

// Removes what Connection names (RFC 9110, 7.6.1).  Host, lengths and the other fields a message
// stands on never got into `headers`.
void remove_nominated(const char* data, const H1Framing& framing, Headers& headers) noexcept {
  for (uint8_t i = 0; i < framing.nominating_count; ++i) {
    std::string_view list(data + framing.nominating[i].begin, framing.nominating[i].size);
    std::string_view name;
    while (next_list_member(list, name)) {
      for (Field* f = headers.mutable_begin(); f != headers.end(); ++f) {
        if (equals_ignore_case(f->name, name)) f->id = HeaderId::kRemoved;
      }
    }
  }
}

bool is_host_char(char c) noexcept {
  const auto u = static_cast<uint8_t>(c);
  return (u >= '0' && u <= '9') || (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') ||
         std::string_view("-._~!$&'()*+,;=%").find(c) != std::string_view::npos;
}

// Framing, routing, identity and what changes how a body is read (RFC 9110, 6.5.1): a receiver that
// merges trailers into its fields would take these from a place that nobody checked.
bool is_forbidden_in_trailers(HeaderId id) noexcept {
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

bool all_digits(std::string_view text) noexcept {
  for (char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return true;
}

}  // namespace

void rebase_head(RequestHead& head, const char* from, size_t size, const char* to) noexcept {
  head.headers.rebase(from, to);
  for (std::string_view* v : {&head.method_text, &head.path, &head.authority, &head.upgrade}) {
    // A path may be a literal ("/" of an absolute target without one).
    const auto offset = reinterpret_cast<uintptr_t>(v->data()) - reinterpret_cast<uintptr_t>(from);
    if (offset < size) *v = {to + offset, v->size()};
  }
}

void rebase_head(ResponseHead& head, const char* from, size_t size, const char* to) noexcept {
  head.headers.rebase(from, to);
  for (std::string_view* v : {&head.reason, &head.upgrade}) {
    const auto offset = reinterpret_cast<uintptr_t>(v->data()) - reinterpret_cast<uintptr_t>(from);
    if (offset < size) *v = {to + offset, v->size()};
  }
}

bool next_list_member(std::string_view& list, std::string_view& member) noexcept {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    member = trim(list.substr(0, comma));
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
    if (!member.empty()) return true;
  }
  return false;
}

bool is_valid_authority(std::string_view text) noexcept {
  if (text.empty() || text.size() > 512) return false;
  std::string_view host = text;
  std::string_view port;
  if (text.front() == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos || close < 3) return false;
    host = text.substr(1, close - 1);
    for (char c : host) {
      const char l = to_lower(c);
      if (!((l >= '0' && l <= '9') || (l >= 'a' && l <= 'f') || l == ':' || l == '.')) return false;
    }
    port = text.substr(close + 1);
  } else {
    const size_t colon = text.find(':');
    host = text.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view{} : text.substr(colon);
    if (host.empty()) return false;
    for (char c : host) {
      if (!is_host_char(c)) return false;
    }
  }
  if (port.empty()) return true;
  if (port.front() != ':' || port.size() > 6 || !all_digits(port.substr(1))) return false;
  return port.size() < 6 || port.substr(1) <= "65535";
}

bool H1FieldParser::has_line(const char* data, size_t size, size_t max_bytes) noexcept {
  if (size > max_bytes) size = max_bytes;
  if (scanned_ < position_) scanned_ = position_;
  if (scanned_ >= size) return false;
  const void* lf = std::memchr(data + scanned_, '\n', size - scanned_);
  scanned_ = lf == nullptr ? static_cast<uint32_t>(size)
                           : static_cast<uint32_t>(static_cast<const char*>(lf) - data);
  return lf != nullptr;
}

ParseStatus H1FieldParser::parse_field(char* data, size_t size, Field& out) noexcept {
  char* const line = data + position_;
  const char* const end = data + size;
  if (*line == '\r') {
    if (line + 1 == end || line[1] != '\n') return fail(FailureKind::kBareCrOrLf);
    position_ += 2;
    return ParseStatus::kDone;
  }
  if (*line == ' ' || *line == '\t') return fail(FailureKind::kObsoleteFolding);
  char* p = line;
  while (true) {  // a complete line ends in LF, which is no token character
    const char lower = kTokenLower[static_cast<uint8_t>(*p)];
    if (lower == 0) break;
    *p++ = lower;
  }
  if (*p != ':' || p == line) {
    return fail(*p == '\n' || *p == '\r' ? FailureKind::kBareCrOrLf : FailureKind::kBadFieldName);
  }
  out.name = {line, static_cast<size_t>(p - line)};
  ++p;
  while (*p == ' ' || *p == '\t') ++p;
  const char* value = p;
  const char* stop = find_control(value, end);
  while (*stop == '\t') stop = find_control(stop + 1, end);
  if (*stop != '\r')
    return fail(*stop == '\n' ? FailureKind::kBareCrOrLf : FailureKind::kBadFieldValue);
  if (stop[1] != '\n') return fail(FailureKind::kBareCrOrLf);
  const char* last = stop;
  while (last != value && (last[-1] == ' ' || last[-1] == '\t')) --last;
  out.value = {value, static_cast<size_t>(last - value)};
  out.id = find_header_id(out.name);
  if (out.id != HeaderId::kUnknown) out.name = header_name(out.id);
  position_ = static_cast<uint32_t>(stop + 2 - data);
  return ParseStatus::kNeedMore;
}

ParseStatus H1RequestParser::parse(char* data, size_t size, const HeadLimits& limits,
                                   RequestHead& head) {
  while (!in_fields_) {
    const bool complete = has_line(data, size, limits.max_bytes);
    // The same verdict for a line that came whole and for one that grows; its CR LF does not count.
    const size_t line =
        complete ? scanned_ - 1 - position_ : size - position_ - (size != position_);
    if (scanned_ > position_ && line > limits.max_line) return fail(FailureKind::kLineTooLong);
    if (!complete) {
      if (size >= limits.max_bytes) return fail(FailureKind::kLineTooLong);
      // Refuse at once what can never become a method: a TLS hello, an h2 preface is a token.
      if (size > position_ && !is_token(std::string_view(data + position_, 1)) &&
          data[position_] != '\r') {
        return fail(FailureKind::kBadMethod);
      }
      return ParseStatus::kNeedMore;
    }
    const ParseStatus status = parse_request_line(data, limits, head);
    if (status == ParseStatus::kFailed) return status;
  }
  while (true) {
    if (!has_line(data, size, limits.max_bytes)) {
      return size >= limits.max_bytes ? fail(FailureKind::kHeadTooLarge) : ParseStatus::kNeedMore;
    }
    Field field;
    const ParseStatus status = parse_field(data, size, field);
    if (status == ParseStatus::kFailed) return status;
    if (status == ParseStatus::kDone) return finish(data, limits, head);
    if (++fields_ > limits.max_fields) return fail(FailureKind::kTooManyFields);
    if (take_field(data, field, head) == ParseStatus::kFailed) return ParseStatus::kFailed;
  }
}

// The line ends at data[scanned_], a LF.
ParseStatus H1RequestParser::parse_request_line(char* data, const HeadLimits& limits,
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
  if (*p != ' ' || p == method || p - method > 32) return fail(FailureKind::kBadMethod);
  head.method_text = {method, static_cast<size_t>(p - method)};
  head.method = find_method(head.method_text);
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

ParseStatus H1RequestParser::take_field(const char* data, const Field& field, RequestHead& head) {
  FailureKind problem = FailureKind::kNone;
  switch (field.id) {
    case HeaderId::kHost:
      if (framing_.has_host) return fail(FailureKind::kBadHost);
      framing_.has_host = true;
      if (!field.value.empty() && !is_valid_authority(field.value))
        return fail(FailureKind::kBadHost);
      head.authority = field.value;
      return ParseStatus::kNeedMore;
    case HeaderId::kContentLength:
      problem = take_length(field.value, framing_);
      break;
    case HeaderId::kTransferEncoding:
      problem = take_transfer_encoding(field.value, framing_);
      break;
    case HeaderId::kConnection:
    case HeaderId::kProxyConnection:
      if (!take_connection(data, field.value, framing_)) return fail(FailureKind::kTooManyFields);
      if (framing_.hides_client) return fail(FailureKind::kBadFieldValue);
      break;
    case HeaderId::kUpgrade:
      head.upgrade = head.upgrade.empty() ? field.value : head.upgrade;
      break;
    case HeaderId::kTe: {
      std::string_view list = field.value;
      std::string_view coding;
      while (next_list_member(list, coding)) {
        head.te_trailers = head.te_trailers || equals_ignore_case(coding, "trailers");
      }
      break;
    }
    case HeaderId::kExpect:
      if (!equals_ignore_case(field.value, "100-continue")) return fail(FailureKind::kBadExpect);
      head.expects_continue = true;
      break;
    case HeaderId::kKeepAlive:
      break;
    default:
      head.headers.add(field);
      return ParseStatus::kNeedMore;
  }
  return problem == FailureKind::kNone ? ParseStatus::kNeedMore : fail(problem);
}

// The four forms of a request target (RFC 9112, 3.2), reduced to authority and path.
ParseStatus H1RequestParser::finish_target(const HeadLimits& limits, RequestHead& head) {
  const std::string_view target = head.path;
  if (head.method == Method::kConnect) {
    if (!is_valid_authority(target)) return fail(FailureKind::kBadUrl);
    if (framing_.has_host && !equals_ignore_case(head.authority, target))
      return fail(FailureKind::kHostMismatch);
    // What follows belongs to the tunnel; a length would be a second opinion (RFC 9110, 9.3.6).
    if (framing_.has_chunked) return fail(FailureKind::kBadTransferEncoding);
    if (framing_.has_length && framing_.content_length != 0)
      return fail(FailureKind::kBadContentLength);
    head.authority = target;
    head.path = {};
    return ParseStatus::kDone;
  }
  if (target.front() == '/') return ParseStatus::kDone;
  if (target == "*" && head.method == Method::kOptions) return ParseStatus::kDone;
  const size_t scheme_end = target.find("://");
  if (scheme_end == std::string_view::npos || !limits.allow_absolute_url)
    return fail(FailureKind::kBadUrl);
  const std::string_view scheme = target.substr(0, scheme_end);
  if (!equals_ignore_case(scheme, "http") && !equals_ignore_case(scheme, "https")) {
    return fail(FailureKind::kBadUrl);
  }
  const std::string_view rest = target.substr(scheme_end + 3);
  const size_t path_begin = rest.find_first_of("/?#");
  const std::string_view authority = rest.substr(0, path_begin);
  if (!is_valid_authority(authority)) return fail(FailureKind::kBadUrl);
  // RFC 9112, 3.2.2: the target wins; a Host that says otherwise is a smuggling attempt.
  if (framing_.has_host && !equals_ignore_case(head.authority, authority)) {
    return fail(FailureKind::kHostMismatch);
  }
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

ParseStatus H1RequestParser::finish(const char* data, const HeadLimits& limits, RequestHead& head) {
  const bool http10 = head.protocol == Protocol::kHttp10;
  if (http10 && !limits.accept_http10) return fail(FailureKind::kHttp10Refused);
  if (!framing_.has_host && !http10) return fail(FailureKind::kBadHost);
  if (framing_.has_chunked && (framing_.has_length || http10))
    return fail(FailureKind::kLengthAndChunked);

  if (finish_target(limits, head) == ParseStatus::kFailed) return ParseStatus::kFailed;
  if (framing_.has_chunked) {
    head.framing = Framing::kChunked;
  } else if (framing_.has_length) {
    head.framing = Framing::kLength;
    head.content_length = framing_.content_length;
  }
  head.keep_alive = !framing_.close && (!http10 || framing_.keep_alive);
  // Nobody goes on in HTTP/2 on a connection of ours; Java's client asks each time.
  const bool h2c = equals_ignore_case(head.upgrade, "h2c");
  if (!framing_.wants_upgrade || http10 || h2c) head.upgrade = {};
  if (h2c) head.headers.remove("http2-settings");
  if (http10) head.expects_continue = false;
  remove_nominated(data, framing_, head.headers);
  return ParseStatus::kDone;
}

ParseStatus H1ResponseParser::parse(char* data, size_t size, const HeadLimits& limits,
                                    Method request_method, ResponseHead& head) {
  if (!in_fields_) {
    if (!has_line(data, size, limits.max_bytes)) {
      if (size >= limits.max_bytes) return fail(FailureKind::kHeadTooLarge);
      const size_t n = size < 5 ? size : 5;
      if (std::memcmp(data, "HTTP/", n) != 0) return fail(FailureKind::kUpstreamProtocol);
      return ParseStatus::kNeedMore;
    }
    if (parse_status_line(data, head) == ParseStatus::kFailed) return ParseStatus::kFailed;
  }
  while (true) {
    if (!has_line(data, size, limits.max_bytes)) {
      return size >= limits.max_bytes ? fail(FailureKind::kHeadTooLarge) : ParseStatus::kNeedMore;
    }
    Field field;
    const ParseStatus status = parse_field(data, size, field);
    if (status == ParseStatus::kFailed) return fail(FailureKind::kUpstreamProtocol);
    if (status == ParseStatus::kDone) return finish(data, request_method, head);
    if (++fields_ > limits.max_fields) return fail(FailureKind::kTooManyFields);
    if (take_field(data, field, head) == ParseStatus::kFailed) return ParseStatus::kFailed;
  }
}

// The line ends at data[scanned_], a LF.
ParseStatus H1ResponseParser::parse_status_line(char* data, ResponseHead& head) {
  const char* p = data;
  const char* const end = data + scanned_ + 1;
  // "HTTP/1.1 200" and at least CRLF
  if (end - p < 14 || std::memcmp(p, "HTTP/1.", 7) != 0)
    return fail(FailureKind::kUpstreamProtocol);
  if ((p[7] != '1' && p[7] != '0') || p[8] != ' ') return fail(FailureKind::kUpstreamProtocol);
  head.protocol = p[7] == '1' ? Protocol::kHttp11 : Protocol::kHttp10;
  uint16_t status = 0;
  for (int i = 9; i < 12; ++i) {
    if (p[i] < '0' || p[i] > '9') return fail(FailureKind::kUpstreamProtocol);
    status = static_cast<uint16_t>(status * 10 + (p[i] - '0'));
  }
  if (status < 100 || status > 599) return fail(FailureKind::kUpstreamProtocol);
  head.status = status;
  p += 12;
  // The reason and its space may be missing (RFC 9112, 4 wants the space; many omit both).
  if (*p == ' ') {
    const char* reason = ++p;
    p = find_control(p, end);
    while (*p == '\t') p = find_control(p + 1, end);
    head.reason = {reason, static_cast<size_t>(p - reason)};
  }
  if (*p != '\r' || p + 2 != end) return fail(FailureKind::kUpstreamProtocol);
  position_ = scanned_ + 1;
  in_fields_ = true;
  return ParseStatus::kDone;
}

ParseStatus H1ResponseParser::take_field(const char* data, const Field& field, ResponseHead& head) {
  FailureKind problem = FailureKind::kNone;
  switch (field.id) {
    case HeaderId::kContentLength:
      problem = take_length(field.value, framing_);
      break;
    case HeaderId::kTransferEncoding:
      problem = take_transfer_encoding(field.value, framing_);
      break;
    case HeaderId::kConnection:
    case HeaderId::kProxyConnection:
      if (!take_connection(data, field.value, framing_))
        return fail(FailureKind::kUpstreamProtocol);
      break;
    case HeaderId::kUpgrade:
      head.upgrade = field.value;
      break;
    case HeaderId::kKeepAlive:
      break;
    default:
      head.headers.add(field);
      return ParseStatus::kNeedMore;
  }
  return problem == FailureKind::kNone ? ParseStatus::kNeedMore
                                       : fail(FailureKind::kUpstreamProtocol);
}

ParseStatus H1ResponseParser::finish(const char* data, Method request_method, ResponseHead& head) {
  const bool http10 = head.protocol == Protocol::kHttp10;
  if (framing_.has_chunked && (framing_.has_length || http10))
    return fail(FailureKind::kUpstreamProtocol);
  head.keep_alive = !framing_.close && (!http10 || framing_.keep_alive);
  head.has_content_length = framing_.has_length;
  head.content_length = framing_.content_length;
  remove_nominated(data, framing_, head.headers);
  if (head.status != 101) head.upgrade = {};
  // What it switched to must be said (RFC 9110, 15.2.2).
  if (head.status == 101 && (head.upgrade.empty() || http10))
    return fail(FailureKind::kUpstreamProtocol);
  // RFC 9112, 6.3: which responses have no body whatever their fields say.
  const bool bodiless = head.status < 200 || head.status == 204 || head.status == 304 ||
                        request_method == Method::kHead;
  if (head.status < 200 || head.status == 204) {
    if (framing_.has_chunked || (framing_.has_length && framing_.content_length != 0)) {
      return fail(FailureKind::kUpstreamProtocol);
    }
    head.has_content_length = false;
  }
  if (bodiless || (request_method == Method::kConnect && head.status / 100 == 2)) {
    head.framing = Framing::kNone;
  } else if (framing_.has_chunked) {
    head.framing = Framing::kChunked;
  } else if (framing_.has_length) {
    head.framing = head.content_length == 0 ? Framing::kNone : Framing::kLength;
  } else if (head.status == 205) {
    head.framing = Framing::kNone;
    head.keep_alive = false;
  } else {
    head.framing = Framing::kUntilClose;
    head.keep_alive = false;
  }
  return ParseStatus::kDone;
}

ParseStatus H1TrailerParser::parse(char* data, size_t size, const HeadLimits& limits,
                                   Headers& trailers) {
  const size_t max_bytes =
      limits.max_bytes < kMaxTrailerBytes ? limits.max_bytes : kMaxTrailerBytes;
  while (true) {
    if (!has_line(data, size, max_bytes)) {
      return size >= max_bytes ? fail(FailureKind::kHeadTooLarge) : ParseStatus::kNeedMore;
    }
    Field field;
    const ParseStatus status = parse_field(data, size, field);
    if (status == ParseStatus::kFailed) return fail(FailureKind::kBadTrailer);
    if (status == ParseStatus::kDone) return status;
    if (++fields_ > limits.max_fields) return fail(FailureKind::kTooManyFields);
    if (is_forbidden_in_trailers(field.id)) return fail(FailureKind::kBadTrailer);
    trailers.add(field);
  }
}

}  // namespace pillion::http
