// A request's head as a whole: line, fields one by one, and the verdict at its end.
#include "proxy/base/str.h"
#include "proxy/http/field_rules.h"
#include "proxy/http/h1_parser.h"
#include "proxy/http/h1_scan.h"

namespace pillion::http {

ParseStatus H1RequestParser::parse(char* data, size_t size, const H1Limits& limits,
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

ParseStatus H1RequestParser::take_field(const char* data, const Field& field, RequestHead& head) {
  FailureKind problem = FailureKind::kNone;
  switch (field.id) {
    case HeaderId::kHost:
      problem = take_host(field.value, framing_);
      head.authority = field.value;
      break;
    case HeaderId::kContentLength:
      problem = take_length(field.value, framing_);
      break;
    case HeaderId::kTransferEncoding:
      problem = take_transfer_encoding(field.value, framing_);
      break;
    case HeaderId::kConnection:
    case HeaderId::kProxyConnection:
      problem = take_connection(data, field.value, framing_);
      if (problem == FailureKind::kNone && framing_.hides_client)
        problem = FailureKind::kBadFieldValue;
      break;
    case HeaderId::kUpgrade:
      head.upgrade = head.upgrade.empty() ? field.value : head.upgrade;
      break;
    case HeaderId::kTe:
      take_te(field.value, head);
      break;
    case HeaderId::kExpect:
      problem = take_expect(field.value, head);
      break;
    case HeaderId::kKeepAlive:
      break;
    default:
      head.headers.add(field);
      return ParseStatus::kNeedMore;
  }
  return problem == FailureKind::kNone ? ParseStatus::kNeedMore : fail(problem);
}

ParseStatus H1RequestParser::finish(const char* data, const H1Limits& limits, RequestHead& head) {
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
  const bool connect = head.method == Method::kConnect;  // itself a switch
  if (!framing_.wants_upgrade || http10 || h2c || connect) head.upgrade = {};
  if (h2c) head.headers.remove("http2-settings");
  settle_expectation(head);
  if (http10) head.expects_continue = false;
  remove_nominated(data, framing_, head.headers);
  return ParseStatus::kDone;
}

}  // namespace pillion::http
