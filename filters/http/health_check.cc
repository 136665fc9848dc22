// envoy.filters.http.health_check: answers the health checks of others, by itself or (pass-through)
// as the application does, its answer cached for a while; 503 after /healthcheck/fail.
#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "proxy/base/response_flags.h"
#include "proxy/core/http_filter.h"
#include "proxy/match/header_value.h"

namespace pillion::filters {
namespace {

using config::Node;
using core::FilterContext;
using core::FilterVerdict;

// The last answer of the application, shared by the workers: one word, so that time and status
// belong together.
class alignas(64) CachedAnswer {
 public:
  // 0: there is none that is still good.
  [[nodiscard]] uint16_t get(Instant now) const noexcept {
    const uint64_t word = word_.load(std::memory_order_relaxed);
    return micros(now) < word >> kStatusBits ? static_cast<uint16_t>(word & kStatusMask)
                                             : uint16_t{0};
  }
  void set(Instant now, Duration lifetime, uint16_t status) noexcept {
    word_.store(micros(now + lifetime) << kStatusBits | (status & kStatusMask),
                std::memory_order_relaxed);
  }

 private:
  static constexpr unsigned kStatusBits = 10;
  static constexpr uint64_t kStatusMask = (1u << kStatusBits) - 1;
  static uint64_t micros(Instant t) noexcept {
    return static_cast<uint64_t>(t.time_since_epoch().count()) / 1000;
  }
  std::atomic<uint64_t> word_{0};
};

using WorkerState = core::FilterCounters<stats::HealthCheckFilterStats>;

class Filter;

class Factory final : public core::HttpFilterFactoryOf<Filter, Factory, WorkerState> {
 public:
  bool pass_through = false;
  std::string cluster;    // ours, which the answers name
  Duration cache_time{};  // zero: nothing is cached
  std::vector<match::HeaderMatcher> headers;
  mutable CachedAnswer cached;
};

class Filter final : public core::HttpFilter {
 public:
  Filter(const Factory& factory, FilterContext& context) : factory_(factory), context_(context) {}

  FilterVerdict on_request_head(http::RequestHead& head, bool) override {
    is_check_ =
        std::ranges::all_of(factory_.headers, [&](const auto& m) { return m.matches(head); });
    if (!is_check_) return FilterVerdict::kContinue;
    context_.info().is_health_check = true;
    stats().request_total.inc();
    if (context_.fails_health_checks()) return answer(503, "health_check_failed");
    if (!factory_.pass_through) return answer(200, "health_check_ok");
    const uint16_t cached = factory_.cached.get(context_.now());
    if (cached == 0) return FilterVerdict::kContinue;
    stats().cached_response.inc();
    return answer(cached, "health_check_cached");
  }

  FilterVerdict on_response_head(http::ResponseHead& head, bool) override {
    if (!is_check_) {
      // Whoever balances over us learns it from any response.
      if (context_.fails_health_checks())
        head.headers.set("x-envoy-immediate-health-check-fail", "true");
      return FilterVerdict::kContinue;
    }
    head.headers.set("x-envoy-upstream-healthchecked-cluster", factory_.cluster);
    if (!is_answered_ && factory_.cache_time != Duration{})
      factory_.cached.set(context_.now(), factory_.cache_time, head.status);
    return FilterVerdict::kContinue;
  }

 private:
  stats::HealthCheckFilterStats& stats() { return *context_.worker_state<WorkerState>().stats; }

  FilterVerdict answer(uint16_t status, std::string_view details) {
    is_answered_ = true;
    const bool is_ok = status / 100 == 2;
    (is_ok ? stats().ok : stats().failed).inc();
    if (!is_ok) context_.info().flags |= flag_bit(ResponseFlag::kFailedLocalHealthCheck);
    context_.local_reply({.status = status, .details = details});
    return FilterVerdict::kStop;
  }

  const Factory& factory_;
  FilterContext& context_;
  bool is_check_ = false;
  bool is_answered_ = false;
};

std::shared_ptr<const core::HttpFilterFactory> parse(const Node& node,
                                                     const core::FilterParseContext& context) {
  auto factory = std::make_shared<Factory>();
  factory->cluster = context.node_cluster;
  const Node pass_through = node.required("pass_through_mode");
  if (pass_through.is_present()) factory->pass_through = pass_through.as_bool();
  // A year is for ever, and no sum that overflows.
  factory->cache_time =
      std::min<Duration>(node["cache_time"].as_duration_or(Duration{}), std::chrono::hours(8766));
  if (factory->cache_time != Duration{} && !factory->pass_through)
    node["cache_time"].error("needs pass_through_mode: only answers of the application are cached");
  for (const Node item : node["headers"].items())
    factory->headers.push_back(match::parse_header_matcher(item));
  node.unsupported({"cluster_min_healthy_percentages"}, "comes with a later version",
                   config::Unknown::kAlwaysError);
  node.reject_unknown_keys();
  return factory;
}

}  // namespace

extern const core::HttpFilterType kHealthCheck;
const core::HttpFilterType kHealthCheck{
    "envoy.extensions.filters.http.health_check.v3.HealthCheck", {}, parse};

}  // namespace pillion::filters
