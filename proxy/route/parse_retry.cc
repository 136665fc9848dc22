// RetryPolicy from its message.
#include <algorithm>
#include <utility>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/config/runtime.h"
#include "proxy/config/suggest.h"
#include "proxy/route/retry_policy.h"

namespace pillion::route {
namespace {

using config::EnumRow;
using config::Node;

constexpr std::string_view kLater = "comes with a later version";
constexpr std::string_view kHttp3Word = "http3-post-connect-failure";
constexpr std::string_view kPreviousHosts =
    "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate";
constexpr auto kShortest = std::chrono::milliseconds(1);
constexpr EnumRow kFormats[] = {{"SECONDS", 0}, {"UNIX_TIMESTAMP", 1}};

void add_token(RetryPolicy& policy, std::string_view token, const Node& node) {
  const auto* const word = std::ranges::find(kRetryWords, token);
  if (word != std::end(kRetryWords)) {
    policy.tokens |= 1u << (word - std::begin(kRetryWords));
    return;
  }
  if (token == kHttp3Word) {
    return node.error(str(token, " is known to Envoy v3 but not supported by Pillion yet (", kLater,
                          ", as HTTP/3 does)"));
  }
  node.error(str("unknown retry condition \"", config::printable(token), '"',
                 config::did_you_mean(token, kRetryWords)));
}

void parse_tokens(RetryPolicy& policy, const Node& node) {
  std::string_view rest = node.as_view_or();
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string_view token = trim(rest.substr(0, comma));
    if (!token.empty()) add_token(policy, token, node);
    rest = comma == rest.npos ? std::string_view{} : rest.substr(comma + 1);
  }
}

void parse_back_off(RetryPolicy& policy, const Node& node) {
  if (node.is_missing()) return;
  const Node base = node.required("base_interval");
  const Node max = node["max_interval"];
  if (base.is_present()) {
    policy.base_interval = base.as_duration();
    if (policy.base_interval <= Duration{}) base.expected("a duration above zero");
    policy.base_interval = std::max<Duration>(policy.base_interval, kShortest);
    policy.max_interval = policy.base_interval * 10;
  }
  if (max.is_present()) {
    policy.max_interval = max.as_duration();
    if (policy.max_interval < policy.base_interval) max.expected("at least the base_interval");
  }
  node.reject_unknown_keys();
}

void parse_rate_limited(RetryPolicy& policy, const Node& node) {
  if (node.is_missing()) return;
  const Node headers = node.required("reset_headers");
  for (const Node item : headers.items()) {
    ResetHeader header;
    header.name = lowered(item["name"].as_string());
    header.is_timestamp = item["format"].as_enum_or<int>(0, kFormats) == 1;
    item.reject_unknown_keys();
    policy.reset_headers.push_back(std::move(header));
  }
  if (headers.is_sequence() && headers.size() == 0) headers.expected("at least one header");
  const Node max = node["max_interval"];
  policy.reset_max_interval = max.as_duration_or(policy.reset_max_interval);
  if (policy.reset_max_interval <= Duration{}) max.expected("a duration above zero");
  node.reject_unknown_keys();
}

void parse_host_selection(RetryPolicy& policy, const Node& node) {
  const uint32_t most = node["host_selection_retry_max_attempts"].as_u32_or(1, 0, 1000);
  for (const Node item : node["retry_host_predicate"].items()) {
    (void)item["name"].as_string();
    const auto [type, config] = item["typed_config"].typed_config();
    if (type == kPreviousHosts) {
      policy.extra_picks = most;
      config.reject_unknown_keys();
    } else if (!type.empty()) {
      item.error(str("host predicate \"", config::printable(type),
                     "\" is not supported by Pillion yet; ", kPreviousHosts, " is"));
    }
    item.reject_unknown_keys();
  }
}

std::vector<match::HeaderMatcher> parse_matchers(const Node& list) {
  std::vector<match::HeaderMatcher> out;
  for (const Node item : list.items()) out.push_back(match::parse_header_matcher(item));
  return out;
}

}  // namespace

std::shared_ptr<const RetryPolicy> parse_retry_policy(const Node& node) {
  if (node.is_missing()) return nullptr;
  auto policy = std::make_shared<RetryPolicy>();
  parse_tokens(*policy, node["retry_on"]);
  policy->num_retries = node["num_retries"].as_u32_or(1);
  policy->per_try_timeout = node["per_try_timeout"].as_duration_or({});
  policy->per_try_idle_timeout = node["per_try_idle_timeout"].as_duration_or({});
  for (const Node code : node["retriable_status_codes"].items()) {
    policy->status_codes.push_back(static_cast<uint16_t>(code.as_u32(200, 599)));
  }
  policy->headers = parse_matchers(node["retriable_headers"]);
  policy->request_headers = parse_matchers(node["retriable_request_headers"]);
  policy->allowed = config::runtime_fraction(node, "upstream.use_retry", policy->allowed);
  policy->base_interval = std::chrono::milliseconds(config::runtime_uint(
      node, "upstream.base_retry_backoff_ms", uint64_t(to_millis(policy->base_interval))));
  policy->base_interval = std::max<Duration>(policy->base_interval, kShortest);
  policy->max_interval = policy->base_interval * 10;
  parse_back_off(*policy, node["retry_back_off"]);
  parse_rate_limited(*policy, node["rate_limited_retry_back_off"]);
  parse_host_selection(*policy, node);
  node.unsupported({"retry_priority", "retry_options_predicates", "refresh_cluster_on_retry"},
                   kLater);
  node.reject_unknown_keys();
  const bool has_effect = policy->tokens != 0 || policy->per_try_timeout != Duration{} ||
                          policy->per_try_idle_timeout != Duration{};
  return has_effect ? policy : nullptr;
}

}  // namespace pillion::route
