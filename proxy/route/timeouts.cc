#include "proxy/route/timeouts.h"

#include <algorithm>
#include <charconv>

namespace pillion::route {
namespace {

using http::HeaderId;
using std::chrono::milliseconds;

constexpr HeaderId kControl[] = {
    HeaderId::kXEnvoyUpstreamRqTimeoutMs,
    HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs,
    HeaderId::kXEnvoyUpstreamRqTimeoutAltResponse,
    HeaderId::kXEnvoyRetryOn,
    HeaderId::kXEnvoyRetryGrpcOn,
    HeaderId::kXEnvoyMaxRetries,
    HeaderId::kXEnvoyHedgeOnPerTryTimeout,
    HeaderId::kXEnvoyRetriableHeaderNames,
    HeaderId::kXEnvoyRetriableStatusCodes,
};

// More would overflow a Duration; a year is as good as for ever.
constexpr milliseconds kLongest = std::chrono::hours(24 * 365);

std::optional<Duration> read_ms(const http::Headers& headers, HeaderId id) noexcept {
  const std::string_view text = headers.get(id);
  const char* end = text.data() + text.size();
  uint64_t ms = 0;
  const auto [at, error] = std::from_chars(text.data(), end, ms);
  if (text.empty() || error != std::errc{} || at != end) return std::nullopt;
  return milliseconds(std::min<uint64_t>(ms, static_cast<uint64_t>(kLongest.count())));
}

}  // namespace

TimeoutPlan finalize_timeouts(const ForwardAction& action, const http::Headers& headers,
                              TimeoutRules rules) noexcept {
  TimeoutPlan plan{action.timeout, {}, 504};
  if (!rules.trusted) return plan;
  const bool counted = rules.respect_expected && headers.has(HeaderId::kXEnvoyExpectedRqTimeoutMs);
  plan.global = read_ms(headers, counted ? HeaderId::kXEnvoyExpectedRqTimeoutMs
                                         : HeaderId::kXEnvoyUpstreamRqTimeoutMs)
                    .value_or(plan.global);
  plan.per_try =
      read_ms(headers, HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs).value_or(plan.per_try);
  // It could never fire first.
  if (plan.per_try >= plan.global && plan.global != Duration{}) plan.per_try = {};
  if (headers.has(HeaderId::kXEnvoyUpstreamRqTimeoutAltResponse)) plan.timeout_status = 204;
  return plan;
}

std::optional<uint64_t> expected_timeout_ms(const TimeoutPlan& plan, Duration elapsed) noexcept {
  Duration expected = plan.per_try != Duration{} ? plan.per_try : plan.global;
  if (expected == Duration{}) return std::nullopt;
  if (plan.global != Duration{}) expected = std::min(expected, plan.global - elapsed);
  const auto ms = std::chrono::duration_cast<milliseconds>(expected).count();
  return static_cast<uint64_t>(std::max<milliseconds::rep>(ms, 1));
}

void remove_control_headers(http::Headers& headers) noexcept {
  http::Field* const begin = headers.mutable_begin();
  for (http::Field* f = begin; f != headers.end(); ++f) {
    if (std::ranges::find(kControl, f->id) != std::end(kControl)) f->id = HeaderId::kRemoved;
  }
}

}  // namespace pillion::route
