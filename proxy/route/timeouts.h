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
// none.
TimeoutPlan finalize_timeouts(const ForwardAction& action, const http::Headers& headers,
                              TimeoutRules rules) noexcept;

// Value of x-envoy-expected-rq-timeout-ms for an attempt that begins `elapsed` after the request
// did: how long the upstream has.  At least 1; none if nothing limits it.
std::optional<uint64_t> expected_timeout_ms(const TimeoutPlan& plan, Duration elapsed) noexcept;

// The headers that steer this proxy and go no further: timeouts, retries, hedging.
void remove_control_headers(http::Headers& headers) noexcept;

}  // namespace pillion::route
