#include "proxy/route/retry_policy.h"

#include <algorithm>
#include <charconv>

#include "proxy/http/grpc.h"

namespace pillion::route {
namespace {

using http::HeaderId;
using Kind = AttemptOutcome::Kind;
using std::chrono::seconds;

template <typename T>
std::optional<T> read_number(std::string_view text) noexcept {
  T number = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (text.empty() || error != std::errc{} || at != end) return std::nullopt;
  return number;
}

// grpc-status counts in a response head only: that is a response without a message (Trailers-Only).
bool is_grpc_failure(const RetryPolicy& policy, const http::ResponseHead& head) {
  switch (http::grpc_status(head.headers).value_or(0)) {
    case 1:
      return policy.has(RetryOn::kGrpcCancelled);
    case 4:
      return policy.has(RetryOn::kGrpcDeadlineExceeded);
    case 8:
      return policy.has(RetryOn::kGrpcResourceExhausted);
    case 13:
      return policy.has(RetryOn::kGrpcInternal);
    case 14:
      return policy.has(RetryOn::kGrpcUnavailable);
    default:
      return false;
  }
}

bool is_retriable(const RetryPolicy& policy, const http::ResponseHead& head) {
  // The upstream asks for less, not for more, unless the policy knows better.
  if (head.headers.find("x-envoy-ratelimited") != nullptr) {
    return policy.has(RetryOn::kRateLimited);
  }
  const unsigned status = head.status;
  if (policy.has(RetryOn::k5xx) && status >= 500 && status < 600) return true;
  if (policy.has(RetryOn::kGatewayError) && status >= 502 && status <= 504) return true;
  if (policy.has(RetryOn::kRetriable4xx) && status == 409) return true;
  if (policy.has(RetryOn::kStatusCodes) &&
      std::ranges::find(policy.status_codes, status) != policy.status_codes.end()) {
    return true;
  }
  if (policy.has(RetryOn::kHeaders) &&
      std::ranges::any_of(policy.headers, [&](const auto& m) { return m.matches(head); })) {
    return true;
  }
  return is_grpc_failure(policy, head);
}

// To the client a reset is a 5xx, so 5xx and gateway-error ask for it, too.
bool is_retriable_reset(const RetryPolicy& policy, const AttemptOutcome& outcome) noexcept {
  if (policy.has(RetryOn::kReset) || policy.has(RetryOn::k5xx) ||
      policy.has(RetryOn::kGatewayError)) {
    return true;
  }
  if (policy.has(RetryOn::kResetBeforeRequest) && !outcome.request_started) return true;
  if (outcome.kind == Kind::kRefusedStream) return policy.has(RetryOn::kRefusedStream);
  return outcome.kind == Kind::kConnectFailure && policy.has(RetryOn::kConnectFailure);
}

std::optional<Duration> read_reset(const ResetHeader& header, const http::ResponseHead& head,
                                   WallTime now) {
  const http::Field* field = head.headers.find(header.name);
  if (field == nullptr) return std::nullopt;
  // A year is too long in any case, and more would overflow a Duration.
  constexpr int64_t kLongest = int64_t{366} * 24 * 3600;
  const auto number = read_number<uint64_t>(field->value);
  if (!number || *number > uint64_t{INT64_MAX}) return std::nullopt;
  int64_t wait = static_cast<int64_t>(*number);
  if (header.is_timestamp) {
    wait -= std::chrono::duration_cast<seconds>(now.time_since_epoch()).count();
  }
  if (wait < 0 || wait > kLongest) return std::nullopt;
  return seconds(wait);
}

}  // namespace

bool RetryPolicy::concerns(const http::RequestHead& request) const {
  return request_headers.empty() ||
         std::ranges::any_of(request_headers, [&](const auto& m) { return m.matches(request); });
}

AttemptOutcome::Kind outcome_of(Failure failure) noexcept {
  switch (failure.row().retry) {
    case RetryClass::connect:
      return Kind::kConnectFailure;
    case RetryClass::reset:
      return Kind::kReset;
    case RetryClass::refused:
      return Kind::kRefusedStream;
    case RetryClass::never:
      break;
  }
  return Kind::kFinal;
}

bool should_retry(const RetryPolicy& policy, const AttemptOutcome& outcome) {
  switch (outcome.kind) {
    case Kind::kResponse:
      return is_retriable(policy, *outcome.response);
    case Kind::kReset:
    case Kind::kConnectFailure:
    case Kind::kRefusedStream:
      return is_retriable_reset(policy, outcome);
    case Kind::kFinal:
      break;
  }
  return false;
}

std::optional<Duration> asked_back_off(const RetryPolicy& policy, const http::ResponseHead& head,
                                       WallTime now) {
  for (const ResetHeader& header : policy.reset_headers) {
    const std::optional<Duration> wait = read_reset(header, head, now);
    if (!wait || *wait > policy.reset_max_interval) continue;
    if (*wait == Duration{}) return std::nullopt;
    return wait;
  }
  return std::nullopt;
}

Duration spread_back_off(Duration asked, Rng& rng) noexcept {
  return asked +
         Duration(static_cast<int64_t>(rng.below(static_cast<uint64_t>(asked.count()) / 2)));
}

Duration next_back_off(const RetryPolicy& policy, Duration& span, Rng& rng) noexcept {
  const Duration wait(static_cast<int64_t>(rng.below(static_cast<uint64_t>(span.count()))));
  // Not doubled first: a maximum of years must not overflow.
  span = span > policy.max_interval / 2 ? policy.max_interval : 2 * span;
  return wait;
}

}  // namespace pillion::route
