#pragma once
// RetryPolicy: envoy.config.route.v3.RetryPolicy, as far as Pillion has it: the tokens
// connect-failure and reset.  The others are refused by name.

#include <chrono>
#include <cstdint>

#include "proxy/base/clock.h"
#include "proxy/config/node.h"

namespace pillion::route {

// Bits.
enum class RetryOn : uint8_t { kConnectFailure = 1, kReset = 2 };

struct RetryPolicy {
  uint8_t tokens = 0;  // of RetryOn; 0: no retries
  uint32_t num_retries = 1;
  // Full jitter: uniform in [0, min(base * 2^n, max)) before retry n (envoy.md, 2.2).
  Duration base_interval = std::chrono::milliseconds(25);
  Duration max_interval = std::chrono::milliseconds(250);

  [[nodiscard]] bool has(RetryOn token) const noexcept {
    return (tokens & static_cast<uint8_t>(token)) != 0;
  }
};

// A missing node gives a policy without tokens.
RetryPolicy parse_retry_policy(const config::Node& node);

}  // namespace pillion::route
