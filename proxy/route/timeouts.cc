#include "proxy/route/timeouts.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "proxy/http/grpc.h"

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

// Rule 1: max_grpc_timeout makes the client's grpc-timeout the limit.
Duration route_timeout(const ForwardAction& action, const http::Headers& headers) noexcept {
  if (!action.max_grpc_timeout || !http::is_grpc(headers)) return action.timeout;
  const Duration most = *action.max_grpc_timeout;
  Duration wanted = grpc_timeout(headers).value_or(Duration{});
  // Less the offset, as long as that does not make it 0, which is for ever.
  if (action.grpc_timeout_offset < wanted) wanted -= action.grpc_timeout_offset;
  const bool is_too_long = wanted == Duration{} || wanted > most;
  return most != Duration{} && is_too_long ? most : wanted;
}

// Rules 3 and 4, and the answer to a timeout.
void apply_fields(TimeoutPlan& plan, const http::Headers& headers, TimeoutRules rules) noexcept {
  const bool counted = rules.respect_expected && headers.has(HeaderId::kXEnvoyExpectedRqTimeoutMs);
  plan.global = read_ms(headers, counted ? HeaderId::kXEnvoyExpectedRqTimeoutMs
                                         : HeaderId::kXEnvoyUpstreamRqTimeoutMs)
                    .value_or(plan.global);
  plan.per_try =
      read_ms(headers, HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs).value_or(plan.per_try);
  if (headers.has(HeaderId::kXEnvoyUpstreamRqTimeoutAltResponse)) plan.timeout_status = 204;
}

}  // namespace

TimeoutPlan finalize_timeouts(const ForwardAction& action, const http::Headers& headers,
                              TimeoutRules rules) noexcept {
  TimeoutPlan plan{route_timeout(action, headers), {}, 504};
  if (action.retry != nullptr) plan.per_try = action.retry->per_try_timeout;
  if (rules.trusted) apply_fields(plan, headers, rules);
  if (plan.per_try >= plan.global && plan.global != Duration{}) plan.per_try = {};
  return plan;
}

std::optional<uint64_t> expected_timeout_ms(const TimeoutPlan& plan, Duration elapsed) noexcept {
  Duration expected = plan.per_try != Duration{} ? plan.per_try : plan.global;
  if (expected == Duration{}) return std::nullopt;
  if (plan.global != Duration{}) expected = std::min(expected, plan.global - elapsed);
  const auto ms = std::chrono::duration_cast<milliseconds>(expected).count();
  return static_cast<uint64_t>(std::max<milliseconds::rep>(ms, 1));
}

std::optional<Duration> grpc_timeout(const http::Headers& headers) noexcept {
  const std::string_view text = headers.get(HeaderId::kGrpcTimeout);
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  uint32_t number = 0;
  const char* unit = text.data() + text.size() - 1;
  const auto [at, error] = std::from_chars(text.data(), unit, number);
  if (error != std::errc{} || at != unit) return std::nullopt;
  switch (*unit) {
    case 'H':
      return std::min(std::chrono::hours(number),
                      std::chrono::duration_cast<std::chrono::hours>(kLongest));
    case 'M':
      return std::chrono::minutes(number);
    case 'S':
      return std::chrono::seconds(number);
    case 'm':
      return milliseconds(number);
    case 'u':
      return std::chrono::ceil<milliseconds>(std::chrono::microseconds(number));
    case 'n':
      return std::chrono::ceil<milliseconds>(Duration(number));
    default:
      return std::nullopt;
  }
}

std::optional<Duration> stream_duration(const ForwardAction& action,
                                        const http::Headers& headers) noexcept {
  if (!action.grpc_timeout_header_max) return action.max_stream_duration;
  const std::optional<Duration> wanted = grpc_timeout(headers);
  if (!wanted) return action.max_stream_duration;
  const Duration most = *action.grpc_timeout_header_max;
  const Duration limit = most == Duration{} ? *wanted : std::min(*wanted, most);
  // Nothing left is not the same as no limit.
  return std::max<Duration>(limit - action.grpc_timeout_offset, milliseconds(1));
}

std::string_view forwarded_grpc_timeout(const ForwardAction& action, http::Headers& headers) {
  if (!action.grpc_timeout_header_max || !grpc_timeout(headers)) return {};
  return grpc_timeout_text(*stream_duration(action, headers), headers.arena());
}

std::string_view grpc_timeout_text(Duration timeout, Arena& arena) {
  constexpr int64_t kMost = 99'999'999;  // eight digits
  constexpr std::pair<char, int> kLarger[] = {{'S', 1000}, {'M', 60}, {'H', 60}};
  int64_t n = std::chrono::duration_cast<milliseconds>(timeout).count();
  char unit = 'm';
  for (const auto& [next, times] : kLarger) {
    if (n <= kMost) break;
    n /= times;
    unit = next;
  }
  char* text = arena.allocate_array<char>(16);
  char* end = std::to_chars(text, text + 8, std::clamp<int64_t>(n, 0, kMost)).ptr;
  *end++ = unit;
  return {text, static_cast<size_t>(end - text)};
}

void remove_control_headers(http::Headers& headers) noexcept {
  http::Field* const begin = headers.mutable_begin();
  for (http::Field* f = begin; f != headers.end(); ++f) {
    if (std::ranges::find(kControl, f->id) != std::end(kControl)) f->id = HeaderId::kRemoved;
  }
}

}  // namespace pillion::route
