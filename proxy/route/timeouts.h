#pragma once
// The time limits of one request: what its route says, and what trusted request headers change
// (Envoy's FilterUtility::finalTimeout; reference, 2.1).

#include <cstdint>
#include <optional>

#include "proxy/base/clock.h"
#include "proxy/http/headers.h"
#include "proxy/route/route.h"

namespace pillion::route {

struct TimeoutPlan {
  Duration global{};              // from the end of the request, over all attempts; 0: none
  Duration per_try{};             // of one attempt; 0: none
  uint16_t timeout_status = 504;  // 204 with x-envoy-upstream-rq-timeout-alt-response

  bool operator==(const TimeoutPlan&) const = default;
};

struct TimeoutRules {
  // Only from inside the mesh may a client steer timeouts; else its headers change nothing.
  bool trusted = false;
  // The router's respect_expected_rq_timeout: a proxy before us has counted the time already.
  bool respect_expected = false;
};

// Pure: `headers` are read only.  A value that is no whole number of milliseconds is as good as
// none.  A limit of one attempt that is not below the one of all is dropped: it could never fire
// first.
TimeoutPlan finalize_timeouts(const ForwardAction& action, const http::Headers& headers,
                              TimeoutRules rules) noexcept;

// What grpc-timeout says ("250m"; gRPC over HTTP/2: up to eight digits and a unit), rounded up to
// milliseconds; none if it says nothing that is valid.
std::optional<Duration> grpc_timeout(const http::Headers& headers) noexcept;

// How long the stream may last as its route says (RouteAction.max_stream_duration); none: the
// connection manager's value holds.  0: no limit.
std::optional<Duration> stream_duration(const ForwardAction& action,
                                        const http::Headers& headers) noexcept;

// The same route's client is to be told by grpc-timeout what stream_duration() made of it; the
// value of the field, in the arena.  Empty: the field stays as it is.
std::string_view forwarded_grpc_timeout(const ForwardAction& action, http::Headers& headers);

// The value of grpc-timeout for a limit, in the arena: milliseconds, or the first larger unit of
// which eight digits are enough.
std::string_view grpc_timeout_text(Duration timeout, Arena& arena);

// Value of x-envoy-expected-rq-timeout-ms for an attempt that begins `elapsed` after the request
// did: how long the upstream has.  At least 1; none if nothing limits it.
std::optional<uint64_t> expected_timeout_ms(const TimeoutPlan& plan, Duration elapsed) noexcept;

// The headers that steer this proxy and go no further: timeouts, retries, hedging.
void remove_control_headers(http::Headers& headers) noexcept;

}  // namespace pillion::route
