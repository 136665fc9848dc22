#pragma once
// RetryPolicy: envoy.config.route.v3.RetryPolicy, compiled, and the decisions that follow from it
// as pure functions (reference 2.2).  Who acts on them, and what a retry costs, is the stream's
// matter (core/stream_retry.cc).
//
// Immutable, shared by all workers; a virtual host's policy is one object for all of its routes.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/failure.h"
#include "proxy/base/rng.h"
#include "proxy/config/node.h"
#include "proxy/http/message.h"
#include "proxy/match/header_value.h"

namespace pillion::route {

// Bits, in the order of kRetryWords.
enum class RetryOn : uint32_t {
  kConnectFailure = 1 << 0,
  kReset = 1 << 1,
  k5xx = 1 << 2,
  kGatewayError = 1 << 3,
  kResetBeforeRequest = 1 << 4,
  kRefusedStream = 1 << 5,
  kRateLimited = 1 << 6,
  kRetriable4xx = 1 << 7,
  kStatusCodes = 1 << 8,
  kHeaders = 1 << 9,
  kGrpcCancelled = 1 << 10,
  kGrpcDeadlineExceeded = 1 << 11,
  kGrpcInternal = 1 << 12,
  kGrpcResourceExhausted = 1 << 13,
  kGrpcUnavailable = 1 << 14,
};
inline constexpr std::string_view kRetryWords[] = {"connect-failure",
                                                   "reset",
                                                   "5xx",
                                                   "gateway-error",
                                                   "reset-before-request",
                                                   "refused-stream",
                                                   "envoy-ratelimited",
                                                   "retriable-4xx",
                                                   "retriable-status-codes",
                                                   "retriable-headers",
                                                   "cancelled",
                                                   "deadline-exceeded",
                                                   "internal",
                                                   "resource-exhausted",
                                                   "unavailable"};

// A response field that says how long to wait (rate_limited_retry_back_off).
struct ResetHeader {
  std::string name;           // lower case
  bool is_timestamp = false;  // seconds since 1970, not from now
};

struct RetryPolicy {
  uint32_t tokens = 0;  // of RetryOn; 0: no retries
  uint32_t num_retries = 1;
  config::Fraction allowed{100, 100};  // of the retries that the tokens ask for
  // Of one attempt, from when it has both its connection and the whole request; 0: none.
  Duration per_try_timeout{};
  Duration per_try_idle_timeout{};
  // Full jitter: retry n waits uniformly within [0, min(base * 2^n, max)).
  Duration base_interval = std::chrono::milliseconds(25);
  Duration max_interval = std::chrono::milliseconds(250);
  Duration reset_max_interval = std::chrono::seconds(300);  // longer ones do not count
  std::vector<ResetHeader> reset_headers;
  std::vector<uint16_t> status_codes;                 // retriable-status-codes
  std::vector<match::HeaderMatcher> headers;          // retriable-headers
  std::vector<match::HeaderMatcher> request_headers;  // only such requests; empty: all
  // retry_host_predicate previous_hosts: how many picks more for a host that was not tried yet;
  // 0 without the predicate.
  uint32_t extra_picks = 0;

  [[nodiscard]] bool has(RetryOn token) const noexcept {
    return (tokens & static_cast<uint32_t>(token)) != 0;
  }
  // Does it repeat what an upstream may have seen?  If not, bodies need not be kept for it.
  [[nodiscard]] bool repeats_sent_requests() const noexcept {
    constexpr auto kUnsent = static_cast<uint32_t>(RetryOn::kConnectFailure) |
                             static_cast<uint32_t>(RetryOn::kResetBeforeRequest);
    return (tokens & ~kUnsent) != 0;
  }
  // Is it for this request?
  [[nodiscard]] bool concerns(const http::RequestHead& request) const;
};

// How an attempt ended.
struct AttemptOutcome {
  enum class Kind : uint8_t { kResponse, kReset, kConnectFailure, kRefusedStream, kFinal };
  Kind kind = Kind::kReset;
  bool request_started = false;  // a byte of this or an earlier attempt went to an upstream
  const http::ResponseHead* response = nullptr;  // of kResponse
};

// A failure of an attempt as the policies see it; kFinal for what is never tried again, such as an
// open breaker.
AttemptOutcome::Kind outcome_of(Failure failure) noexcept;

// Do the tokens ask for another attempt?  Whether one is left, and whether the request can be
// repeated, is the caller's to know.
bool should_retry(const RetryPolicy& policy, const AttemptOutcome& outcome);

// How long the response asks to wait, by the policy's reset_headers; none if it does not, or if
// that is nothing, or too long.
std::optional<Duration> asked_back_off(const RetryPolicy& policy, const http::ResponseHead& head,
                                       WallTime now);
// The wait for what was asked: uniform within [asked, 1.5 * asked).
Duration spread_back_off(Duration asked, Rng& rng) noexcept;
// The wait otherwise, uniform within [0, span); `span` doubles up to the policy's max_interval.
// Begin with its base_interval.
Duration next_back_off(const RetryPolicy& policy, Duration& span, Rng& rng) noexcept;

// Null for a missing node, and for a policy that changes nothing.
std::shared_ptr<const RetryPolicy> parse_retry_policy(const config::Node& node);

}  // namespace pillion::route
