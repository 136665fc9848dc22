// A response's head: status line, fields one by one, and whether a body follows.
#include <cstring>

#include "proxy/http/field_rules.h"
#include "proxy/http/h1_parser.h"
#include "proxy/http/h1_scan.h"

namespace pillion::http {

ParseStatus H1ResponseParser::parse(char* data, size_t size, const H1Limits& limits,
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
  head.status = parse_status({p + 9, 3});
  if (head.status == 0) return fail(FailureKind::kUpstreamProtocol);
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
      problem = take_connection(data, field.value, framing_);
      break;
    case HeaderId::kUpgrade:
      head.upgrade = field.value;
      break;
    case HeaderId::kKeepAlive:
    case HeaderId::kTe:  // of requests, and of one hop: HTTP/2 has no place for it
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
  remove_nominated(data, framing_, head.headers);
  if (head.status != 101) head.upgrade = {};
  // What it switched to must be said (RFC 9110, 15.2.2).
  if (head.status == 101 && (head.upgrade.empty() || http10))
    return fail(FailureKind::kUpstreamProtocol);
  const bool no_chunks = head.status < 200 || head.status == 204;
  if (!settle_length(framing_, head) || (no_chunks && framing_.has_chunked))
    return fail(FailureKind::kUpstreamProtocol);
  if (is_bodiless(head.status, request_method) || opens_tunnel(head.status, request_method)) {
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

}  // namespace pillion::http
