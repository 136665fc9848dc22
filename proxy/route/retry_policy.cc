#include "proxy/route/retry_policy.h"

#include <algorithm>
#include <string_view>

#include "proxy/base/str.h"
#include "proxy/config/suggest.h"

namespace pillion::route {
namespace {

constexpr std::string_view kLater = "comes with a later version";
constexpr std::string_view kTokens[] = {
    "connect-failure", "reset",
    // Those that Pillion does not have yet.
    "5xx", "gateway-error", "reset-before-request", "envoy-ratelimited", "retriable-4xx",
    "refused-stream", "retriable-status-codes", "retriable-headers", "http3-post-connect-failure",
    "cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"};

void add_token(RetryPolicy& policy, std::string_view token, const config::Node& node) {
  const auto add = [&policy](RetryOn bit) { policy.tokens |= static_cast<uint8_t>(bit); };
  if (token == "connect-failure") return add(RetryOn::kConnectFailure);
  if (token == "reset") return add(RetryOn::kReset);
  if (std::ranges::find(kTokens, token) != std::end(kTokens)) {
    return node.error(str(token, " is known to Envoy v3 but not supported by Pillion yet (", kLater,
                          "; connect-failure and reset are)"));
  }
  node.error(str("unknown retry condition \"", config::printable(token), '"',
                 config::did_you_mean(token, kTokens)));
}

void parse_back_off(RetryPolicy& policy, const config::Node& node) {
  if (node.is_missing()) return;
  constexpr auto kLeast = std::chrono::milliseconds(1);
  const config::Node base = node.required("base_interval");
  const config::Node max = node["max_interval"];
  if (base.is_present()) {
    policy.base_interval = base.as_duration();
    if (policy.base_interval <= Duration{}) base.expected("a duration above zero");
    policy.base_interval = std::max<Duration>(policy.base_interval, kLeast);
    policy.max_interval = policy.base_interval * 10;
  }
  if (max.is_present()) {
    policy.max_interval = max.as_duration();
    if (policy.max_interval < policy.base_interval) max.expected("at least the base_interval");
  }
  node.reject_unknown_keys();
}

}  // namespace

RetryPolicy parse_retry_policy(const config::Node& node) {
  RetryPolicy policy;
  if (node.is_missing()) return policy;
  const config::Node on = node["retry_on"];
  std::string_view rest = on.as_view_or();
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string_view token = trim(rest.substr(0, comma));
    if (!token.empty()) add_token(policy, token, on);
    rest = comma == rest.npos ? std::string_view{} : rest.substr(comma + 1);
  }
  policy.num_retries = node["num_retries"].as_u32_or(1);
  parse_back_off(policy, node["retry_back_off"]);
  node.unsupported(
      {"per_try_timeout", "per_try_idle_timeout", "retry_priority", "retry_host_predicate",
       "retry_options_predicates", "host_selection_retry_max_attempts", "retriable_status_codes",
       "rate_limited_retry_back_off", "retriable_headers", "retriable_request_headers",
       "refresh_cluster_on_retry"},
      kLater);
  node.reject_unknown_keys();
  return policy;
}

}  // namespace pillion::route
