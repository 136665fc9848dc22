#include "proxy/http/h2_request.h"

#include <cstring>

#include "proxy/http/authority.h"

namespace pillion::http {
namespace {

constexpr size_t kMaxProtocol = 64;

}  // namespace

void H2RequestReader::begin(RequestHead& head, bool takes_protocol) noexcept {
  *this = {};
  takes_protocol_ = takes_protocol;
  head_ = &head;
  fields_ = &head.headers;
  head.protocol = Protocol::kHttp2;
}

void H2RequestReader::begin_trailers(Headers& trailers) noexcept {
  *this = {};
  fields_ = &trailers;
}

void H2RequestReader::add(std::string_view name, std::string_view value, const H1Limits& limits,
                          bool sensitive) {
  if (failure_ != FailureKind::kNone) return;
  // nghttp2 lets no name or value pass that is longer than 64 KiB: the sum cannot overflow.
  bytes_ += static_cast<uint32_t>(name.size() + value.size()) + kFieldOverhead;
  const uint32_t max_bytes = head_ != nullptr ? limits.max_bytes : max_trailer_bytes(limits);
  if (bytes_ > max_bytes) return fail(FailureKind::kH2HeadTooLarge);
  if (!is_bare_value(value)) return fail(FailureKind::kH2Malformed);
  if (limits.disallow_obs_text && !is_ascii(value)) return fail(FailureKind::kH2Malformed);
  if (name.starts_with(':')) return add_pseudo(name, value, sensitive);
  if (++count_ > limits.max_fields) return fail(FailureKind::kH2TooManyFields);
  add_regular(name, value, sensitive);
}

// RFC 9113, 8.3.1: once each, in front of all others.
void H2RequestReader::add_pseudo(std::string_view name, std::string_view value, bool sensitive) {
  if (head_ == nullptr || saw_regular_ || value.empty()) return fail(FailureKind::kH2Malformed);
  Arena& arena = fields_->arena();
  if (name == ":method" && head_->method_text.empty()) {
    if (!is_token(value) || value.size() > kMaxMethod) return fail(FailureKind::kH2Malformed);
    head_->method_text = arena.copy(value);
    head_->method = find_method(value);
    if (head_->method == Method::kOther && !is_method_spelling(value))
      return fail(FailureKind::kH2Malformed);
  } else if (name == ":path" && !has_path_) {
    if (!is_target_text(value)) return fail(FailureKind::kH2Malformed);
    has_path_ = true;
    head_->path = arena.copy(value);
    head_->path_never_index = sensitive;
  } else if (name == ":scheme" && head_->scheme.empty()) {
    head_->scheme = known_scheme(value);
    if (head_->scheme.empty()) fail(FailureKind::kH2Malformed);
  } else if (name == ":authority" && !has_authority_) {
    if (!is_valid_authority(value)) return fail(FailureKind::kH2Malformed);
    has_authority_ = true;
    head_->authority = arena.copy(value);
    head_->authority_never_index = sensitive;
  } else if (name == ":protocol" && takes_protocol_ && head_->upgrade.empty()) {
    if (!is_token(value) || value.size() > kMaxProtocol) return fail(FailureKind::kH2Malformed);
    head_->upgrade = arena.copy(value);
  } else {
    fail(FailureKind::kH2Malformed);
  }
}

void H2RequestReader::add_regular(std::string_view name, std::string_view value, bool sensitive) {
  saw_regular_ = true;
  if (!is_lower_case_token(name)) return fail(FailureKind::kH2Malformed);
  const HeaderId id = find_header_id(name);
  if (is_connection_specific(id)) return fail(FailureKind::kH2Malformed);
  if (head_ == nullptr) {
    if (is_forbidden_in_trailers(id)) return fail(FailureKind::kH2Malformed);
  } else {
    switch (id) {
      case HeaderId::kHost:
        return take_host(value, sensitive);
      case HeaderId::kContentLength:
        return take(take_length(value, facts_));
      case HeaderId::kTe:  // RFC 9113, 8.2.2
        return take_te(value, *head_) ? void() : fail(FailureKind::kH2Malformed);
      case HeaderId::kExpect:
        return take(take_expect(value, *head_));
      case HeaderId::kCookie:
        ++crumbs_;
        break;
      default:
        break;
    }
  }
  Arena& arena = fields_->arena();
  const bool known = id != HeaderId::kUnknown;
  fields_->add({known ? header_name(id) : arena.copy(name), arena.copy(value), id, sensitive});
}

// Clients of HTTP/1 that were translated may send Host too; it must agree.
void H2RequestReader::take_host(std::string_view value, bool sensitive) {
  head_->authority_never_index |= sensitive;
  take(http::take_host(value, facts_));
  if (!has_authority_) {
    head_->authority = fields_->arena().copy(value);
  } else if (!is_same_host(value, head_->authority)) {
    fail(FailureKind::kH2Malformed);
  }
}

void H2RequestReader::take(FailureKind refused) noexcept {
  if (refused == FailureKind::kNone) return;
  fail(refused == FailureKind::kBadExpect ? refused : FailureKind::kH2Malformed);
}

// RFC 9113, 8.2.3: a client may cut its cookies into fields; nobody behind us expects that.  Empty
// ones are left out: they would leave a space at an end, which HTTP/2 refuses and HTTP/1 drops.
void H2RequestReader::join_cookies() {
  size_t size = 2 * size_t{crumbs_ - 1};
  fields_->for_each([&size](const Field& f) {
    if (f.id == HeaderId::kCookie) size += f.value.size();
  });
  char* const text = fields_->arena().allocate_array<char>(size);
  char* out = text;
  Field* first = nullptr;
  for (Field* f = fields_->mutable_begin(); f != fields_->end(); ++f) {
    if (f->id != HeaderId::kCookie) continue;
    if (first == nullptr) {
      first = f;
    } else {
      f->id = HeaderId::kRemoved;
      first->never_index |= f->never_index;
    }
    if (f->value.empty()) continue;
    if (out != text) {
      *out++ = ';';
      *out++ = ' ';
    }
    std::memcpy(out, f->value.data(), f->value.size());
    out += f->value.size();
  }
  first->value = {text, static_cast<size_t>(out - text)};
}

FailureKind H2RequestReader::finish(bool end) {
  if (failure_ != FailureKind::kNone) return failure_;
  if (head_ != nullptr) return finish_head(end);
  return end ? FailureKind::kNone : FailureKind::kH2Malformed;
}

FailureKind H2RequestReader::finish_head(bool end) {
  RequestHead& head = *head_;
  if (head.method_text.empty()) return FailureKind::kH2Malformed;
  if (head.asks_tunnel()) {
    if (const FailureKind bad = finish_connect(); bad != FailureKind::kNone) return bad;
  } else {
    if (head.scheme.empty() || !has_path_) return FailureKind::kH2Malformed;
    if (!is_plain_target(head.method, head.path)) return FailureKind::kH2Malformed;
    if (!has_authority_ && !facts_.has_host) return FailureKind::kMissingHost;
  }
  if (end && facts_.content_length != 0) return FailureKind::kH2Malformed;
  if (head.asks_tunnel()) {
    head.framing = Framing::kNone;  // what follows belongs to the tunnel
  } else if (facts_.has_length) {
    head.framing = Framing::kLength;
    head.content_length = facts_.content_length;
  } else {
    head.framing = end ? Framing::kNone : Framing::kChunked;
  }
  settle_expectation(head);
  if (end) head.expects_continue = false;
  if (crumbs_ > 1) join_cookies();
  return FailureKind::kNone;
}

// RFC 9113, 8.5, and with :protocol RFC 8441, 4.  What follows belongs to the tunnel.
FailureKind H2RequestReader::finish_connect() noexcept {
  RequestHead& head = *head_;
  if (head.method != Method::kConnect || !has_authority_) return FailureKind::kH2Malformed;
  if (head.upgrade.empty()) {
    const bool is_sound = head.scheme.empty() && !has_path_ &&
                          judge_connect(head.authority, facts_) == FailureKind::kNone;
    return is_sound ? FailureKind::kNone : FailureKind::kH2Malformed;
  }
  if (facts_.has_length || head.scheme.empty() || !has_path_ || head.path.front() != '/')
    return FailureKind::kH2Malformed;
  head.method = Method::kGet;
  head.method_text = "GET";
  return FailureKind::kNone;
}

}  // namespace pillion::http
