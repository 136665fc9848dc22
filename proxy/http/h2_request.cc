#include "proxy/http/h2_request.h"

#include <algorithm>
#include <cstring>

#include "proxy/base/str.h"
#include "proxy/http/authority.h"
#include "proxy/http/field_syntax.h"
#include "proxy/http/h1_framing.h"
#include "proxy/http/trailer_fields.h"

namespace pillion::http {
namespace {

// ": " and CR LF: a head costs the same in both protocols.
constexpr uint32_t kFieldOverhead = 4;
constexpr size_t kMaxMethod = 32;

bool is_target(std::string_view path) noexcept {
  return find_target_end(path.data(), path.data() + path.size()) == path.data() + path.size();
}

}  // namespace

void H2RequestReader::begin(RequestHead& head) noexcept {
  *this = {};
  head_ = &head;
  fields_ = &head.headers;
  head.protocol = Protocol::kHttp2;
}

void H2RequestReader::begin_trailers(Headers& trailers) noexcept {
  *this = {};
  fields_ = &trailers;
}

void H2RequestReader::add(std::string_view name, std::string_view value, const H1Limits& limits) {
  if (failure_ != FailureKind::kNone) return;
  // nghttp2 lets no name or value pass that is longer than 64 KiB: the sum cannot overflow.
  bytes_ += static_cast<uint32_t>(name.size() + value.size()) + kFieldOverhead;
  const uint32_t max_bytes =
      head_ != nullptr ? limits.max_bytes : std::min(limits.max_bytes, kMaxTrailerBytes);
  if (bytes_ > max_bytes) return fail(FailureKind::kH2HeadTooLarge);
  if (!is_bare_value(value)) return fail(FailureKind::kH2Malformed);
  if (limits.disallow_obs_text && !is_ascii(value)) return fail(FailureKind::kH2Malformed);
  if (name.starts_with(':')) return add_pseudo(name, value);
  if (++count_ > limits.max_fields) return fail(FailureKind::kH2TooManyFields);
  add_regular(name, value);
}

// RFC 9113, 8.3.1: once each, in front of all others.
void H2RequestReader::add_pseudo(std::string_view name, std::string_view value) {
  if (head_ == nullptr || saw_regular_ || value.empty()) return fail(FailureKind::kH2Malformed);
  Arena& arena = fields_->arena();
  if (name == ":method" && head_->method_text.empty()) {
    if (!is_token(value) || value.size() > kMaxMethod) return fail(FailureKind::kH2Malformed);
    head_->method_text = arena.copy(value);
    head_->method = find_method(value);
  } else if (name == ":path" && !has_path_) {
    if (!is_target(value)) return fail(FailureKind::kH2Malformed);
    has_path_ = true;
    head_->path = arena.copy(value);
  } else if (name == ":scheme" && head_->scheme.empty()) {
    const bool https = equals_ignore_case(value, "https");
    if (!https && !equals_ignore_case(value, "http")) return fail(FailureKind::kH2Malformed);
    head_->scheme = https ? "https" : "http";
  } else if (name == ":authority" && !has_authority_) {
    if (!is_valid_authority(value)) return fail(FailureKind::kH2Malformed);
    has_authority_ = true;
    head_->authority = arena.copy(value);
  } else {
    fail(FailureKind::kH2Malformed);
  }
}

void H2RequestReader::add_regular(std::string_view name, std::string_view value) {
  saw_regular_ = true;
  if (!is_lower_case_token(name)) return fail(FailureKind::kH2Malformed);
  const HeaderId id = find_header_id(name);
  if (is_connection_specific(id)) return fail(FailureKind::kH2Malformed);
  if (head_ == nullptr) {
    if (is_forbidden_in_trailers(id)) return fail(FailureKind::kH2Malformed);
  } else {
    switch (id) {
      case HeaderId::kHost:
        return take_host(value);
      case HeaderId::kContentLength:
        return take_length(value);
      case HeaderId::kTe:
        if (value != "trailers") return fail(FailureKind::kH2Malformed);
        head_->te_trailers = true;
        return;
      case HeaderId::kExpect:
        if (!equals_ignore_case(value, "100-continue")) return fail(FailureKind::kBadExpect);
        head_->expects_continue = true;
        return;
      case HeaderId::kCookie:
        ++crumbs_;
        break;
      default:
        break;
    }
  }
  Arena& arena = fields_->arena();
  const bool known = id != HeaderId::kUnknown;
  fields_->add({known ? header_name(id) : arena.copy(name), arena.copy(value), id});
}

// Clients of HTTP/1 that were translated may send Host too; it must agree.
void H2RequestReader::take_host(std::string_view value) {
  if (has_host_ || !is_valid_authority(value)) return fail(FailureKind::kH2Malformed);
  has_host_ = true;
  if (!has_authority_) {
    head_->authority = fields_->arena().copy(value);
  } else if (!equals_ignore_case(head_->authority, value)) {
    fail(FailureKind::kH2Malformed);
  }
}

void H2RequestReader::take_length(std::string_view value) {
  H1Framing framing;
  if (has_length_ || http::take_length(value, framing) != FailureKind::kNone)
    return fail(FailureKind::kH2Malformed);
  has_length_ = true;
  head_->content_length = framing.content_length;
}

// RFC 9113, 8.2.3: a client may cut its cookies into fields; nobody behind us expects that.
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
      *out++ = ';';
      *out++ = ' ';
      f->id = HeaderId::kRemoved;
    }
    if (!f->value.empty()) std::memcpy(out, f->value.data(), f->value.size());
    out += f->value.size();
  }
  first->value = {text, size};
}

FailureKind H2RequestReader::finish(bool end) {
  if (failure_ != FailureKind::kNone) return failure_;
  if (head_ != nullptr) return finish_head(end);
  return end ? FailureKind::kNone : FailureKind::kH2Malformed;
}

FailureKind H2RequestReader::finish_head(bool end) {
  RequestHead& head = *head_;
  if (head.method_text.empty()) return FailureKind::kH2Malformed;
  if (head.method == Method::kConnect) {
    // RFC 9113, 8.5; what follows belongs to the tunnel.
    if (!head.scheme.empty() || has_path_ || !has_authority_ || has_length_)
      return FailureKind::kH2Malformed;
  } else {
    if (head.scheme.empty() || !has_path_) return FailureKind::kH2Malformed;
    const bool asterisk = head.path == "*" && head.method == Method::kOptions;
    if (head.path.front() != '/' && !asterisk) return FailureKind::kH2Malformed;
    if (head.authority.empty()) return FailureKind::kMissingHost;
  }
  if (end && has_length_ && head.content_length != 0) return FailureKind::kH2Malformed;
  if (has_length_) {
    head.framing = Framing::kLength;
  } else {
    head.framing = end ? Framing::kNone : Framing::kChunked;
  }
  if (end) head.expects_continue = false;
  if (crumbs_ > 1) join_cookies();
  return FailureKind::kNone;
}

}  // namespace pillion::http
