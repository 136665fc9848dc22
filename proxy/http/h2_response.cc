#include "proxy/http/h2_response.h"

namespace pillion::http {

void H2ResponseReader::begin(ResponseHead& head) noexcept {
  *this = {};
  head_ = &head;
  fields_ = &head.headers;
  head.protocol = Protocol::kHttp2;
}

void H2ResponseReader::begin_trailers(Headers& trailers) noexcept {
  *this = {};
  fields_ = &trailers;
}

void H2ResponseReader::add(std::string_view name, std::string_view value, const H1Limits& limits,
                           bool sensitive) {
  if (failure_ != FailureKind::kNone) return;
  // Both are below the codec's own bound on a block, so that the sum cannot overflow.
  bytes_ += static_cast<uint32_t>(name.size() + value.size()) + kFieldOverhead;
  const uint32_t max_bytes = head_ != nullptr ? limits.max_bytes : max_trailer_bytes(limits);
  if (bytes_ > max_bytes) return fail(FailureKind::kHeadTooLarge);
  if (++count_ > limits.max_fields + (head_ != nullptr ? 1 : 0)) {
    return fail(FailureKind::kTooManyFields);
  }
  if (!is_bare_value(value)) return fail(FailureKind::kUpstreamProtocol);
  if (limits.disallow_obs_text && !is_ascii(value)) return fail(FailureKind::kUpstreamProtocol);
  name.starts_with(':') ? add_pseudo(name, value) : add_regular(name, value, sensitive);
}

void H2ResponseReader::add_pseudo(std::string_view name, std::string_view value) {
  const bool may_come = head_ != nullptr && !saw_regular_ && head_->status == 0;
  if (!may_come || name != ":status") return fail(FailureKind::kUpstreamProtocol);
  head_->status = parse_status(value);
  // There is no 101 in HTTP/2 (RFC 9113, 8.6).
  if (head_->status == 0 || head_->status == 101) fail(FailureKind::kUpstreamProtocol);
}

void H2ResponseReader::add_regular(std::string_view name, std::string_view value, bool sensitive) {
  saw_regular_ = true;
  if (!is_lower_case_token(name)) return fail(FailureKind::kUpstreamProtocol);
  const HeaderId id = find_header_id(name);
  if (is_connection_specific(id) || id == HeaderId::kTe)
    return fail(FailureKind::kUpstreamProtocol);
  Arena& arena = fields_->arena();
  if (head_ == nullptr && is_forbidden_in_trailers(id)) return fail(FailureKind::kUpstreamProtocol);
  if (id == HeaderId::kContentLength) {
    if (take_length(value, facts_) != FailureKind::kNone) fail(FailureKind::kUpstreamProtocol);
    return;
  }
  fields_->add({id == HeaderId::kUnknown ? arena.copy(name) : header_name(id), arena.copy(value),
                id, sensitive});
}

FailureKind H2ResponseReader::finish(Method method, bool end) {
  if (failure_ != FailureKind::kNone) return failure_;
  if (head_ != nullptr) return finish_head(method, end);
  return end ? FailureKind::kNone : FailureKind::kUpstreamProtocol;
}

FailureKind H2ResponseReader::finish_head(Method method, bool end) {
  ResponseHead& head = *head_;
  const bool interim = head.status < 200;
  if (head.status == 0 || (interim && end)) return FailureKind::kUpstreamProtocol;
  if (!settle_length(facts_, head)) return FailureKind::kUpstreamProtocol;
  const bool is_tunnel = opens_tunnel(head.status, method);
  if (is_tunnel) head.has_content_length = false;  // it is to be ignored (RFC 9110, 9.3.6)
  const bool never_has_body = is_bodiless(head.status, method) || is_tunnel;
  if (never_has_body || (end && !head.has_content_length)) {
    head.framing = Framing::kNone;
  } else if (head.has_content_length) {
    if (end && head.content_length != 0) return FailureKind::kUpstreamProtocol;
    head.framing = end ? Framing::kNone : Framing::kLength;
  } else {
    head.framing = Framing::kChunked;
  }
  return FailureKind::kNone;
}

}  // namespace pillion::http
