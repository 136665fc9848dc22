// envoy.filters.http.fault: delays requests and answers them with errors, to see what callers make
// of it.  A request may be delayed and then aborted.
#include <algorithm>
#include <atomic>
#include <charconv>
#include <string>
#include <vector>

#include "proxy/base/response_flags.h"
#include "proxy/config/runtime.h"
#include "proxy/core/http_filter.h"
#include "proxy/http/grpc.h"
#include "proxy/match/header_value.h"

namespace pillion::filters {
namespace {

using config::Fraction;
using config::Need;
using config::Node;
using core::FilterContext;
using core::FilterVerdict;

constexpr std::string_view kLater = "comes with a later version";
// A client's header cannot ask for more than this.
constexpr uint64_t kMaxDelayMs = 24 * 60 * 60 * 1000;

// FaultDelay and FaultAbort.
struct Delay {
  Fraction fraction;
  Duration fixed{};  // zero: the request's header says how long
};
struct Abort {
  Fraction fraction;
  uint16_t http_status = 0;
  std::optional<uint32_t> grpc_status;  // neither: the request's headers say
};

// HTTPFault.
struct Settings {
  std::optional<Delay> delay;
  std::optional<Abort> abort;
  std::string upstream_cluster;
  std::vector<match::HeaderMatcher> headers;
  std::vector<std::string> downstream_nodes;
  std::optional<uint32_t> max_active;
};

struct RouteConfig final : route::FilterRouteConfig {
  Settings settings;
};

using WorkerState = core::FilterCounters<stats::FaultStats>;

class Filter;

class Factory final : public core::HttpFilterFactoryOf<Filter, Factory, WorkerState> {
 public:
  // Of all workers; written only when a fault is injected.
  struct alignas(64) Active {
    std::atomic<int64_t> count{0};
  };

  Settings settings;
  mutable Active active;
};

class Filter final : public core::HttpFilter {
 public:
  Filter(const Factory& factory, FilterContext& context) : factory_(factory), context_(context) {}

  FilterVerdict on_request_head(http::RequestHead& head, bool) override {
    const auto* route = context_.route_config<RouteConfig>();
    settings_ = route != nullptr ? &route->settings : &factory_.settings;
    if (!concerns(head)) return FilterVerdict::kContinue;
    if (const Duration delay = delay_of(head); delay != Duration{} && begin_fault()) {
      stats().delays_injected.inc();
      context_.info().flags |= flag_bit(ResponseFlag::kDelayInjected);
      context_.arm_timer(delay);
      return FilterVerdict::kStop;
    }
    return abort(head) ? FilterVerdict::kStop : FilterVerdict::kContinue;
  }
  void on_timer() override {
    if (!abort(context_.request())) context_.resume();
  }
  void on_complete() override {
    if (!is_active_) return;
    factory_.active.count.fetch_sub(1, std::memory_order_relaxed);
    stats().active_faults.dec();
  }

 private:
  stats::FaultStats& stats() { return *context_.worker_state<WorkerState>().stats; }

  [[nodiscard]] bool concerns(const http::RequestHead& head) const {
    const Settings& s = *settings_;
    if (!s.delay && !s.abort) return false;
    if (!s.upstream_cluster.empty() && s.upstream_cluster != context_.cluster()) return false;
    if (!s.downstream_nodes.empty()) {
      const std::string_view node = head.headers.get(http::HeaderId::kXEnvoyDownstreamServiceNode);
      if (std::ranges::find(s.downstream_nodes, node) == s.downstream_nodes.end()) return false;
    }
    return std::ranges::all_of(s.headers, [&](const auto& m) { return m.matches(head); });
  }

  // The number in a header; it comes from anybody, so what is none counts as absent.
  static std::optional<uint64_t> number(const http::RequestHead& head, std::string_view name) {
    const http::Field* field = head.headers.find(name);
    if (field == nullptr) return std::nullopt;
    uint64_t value = 0;
    const char* end = field->value.data() + field->value.size();
    const auto [at, error] = std::from_chars(field->value.data(), end, value);
    if (error != std::errc{} || at != end) return std::nullopt;
    return value;
  }

  // A header may lower the share, not raise it.
  static Fraction lowered(Fraction fraction, std::optional<uint64_t> wanted) {
    if (wanted && *wanted < fraction.numerator) fraction.numerator = static_cast<uint32_t>(*wanted);
    return fraction;
  }

  [[nodiscard]] Duration delay_of(const http::RequestHead& head) const {
    if (!settings_->delay) return {};
    const Delay& delay = *settings_->delay;
    if (delay.fixed != Duration{}) return context_.draws(delay.fraction) ? delay.fixed : Duration{};
    const auto ms = number(head, "x-envoy-fault-delay-request");
    if (!ms) return {};
    const Fraction fraction =
        lowered(delay.fraction, number(head, "x-envoy-fault-delay-request-percentage"));
    if (!context_.draws(fraction)) return {};
    return std::chrono::milliseconds(std::min(*ms, kMaxDelayMs));
  }

  // True if it answered.
  bool abort(const http::RequestHead& head) {
    if (!settings_->abort) return false;
    core::FilterReply reply;
    if (!choose_status(head, reply) || !begin_fault()) return false;
    stats().aborts_injected.inc();
    context_.info().flags |= flag_bit(ResponseFlag::kFaultInjected);
    reply.body = "fault filter abort";
    reply.details = "fault_filter_abort";
    context_.local_reply(reply);
    return true;
  }
  bool choose_status(const http::RequestHead& head, core::FilterReply& reply) const {
    const Abort& abort = *settings_->abort;
    reply.status = abort.http_status;
    reply.grpc_status = abort.grpc_status;
    Fraction fraction = abort.fraction;
    if (reply.status == 0 && !reply.grpc_status) {
      fraction = lowered(fraction, number(head, "x-envoy-fault-abort-request-percentage"));
      const auto status = number(head, "x-envoy-fault-abort-request");
      if (status && *status >= 200 && *status < 600) {
        reply.status = static_cast<uint16_t>(*status);
      } else if (const auto grpc = number(head, "x-envoy-fault-abort-grpc-request")) {
        reply.grpc_status = static_cast<uint32_t>(std::min<uint64_t>(*grpc, UINT32_MAX));
      }
    }
    if (reply.grpc_status) reply.status = http::http_status_of_grpc(*reply.grpc_status);
    return reply.status != 0 && context_.draws(fraction);
  }

  // Several faults of one request count once.  The limit is soft, as Envoy's.
  bool begin_fault() {
    if (is_active_) return true;
    if (settings_->max_active &&
        factory_.active.count.load(std::memory_order_relaxed) >= *settings_->max_active) {
      stats().faults_overflow.inc();
      return false;
    }
    is_active_ = true;
    factory_.active.count.fetch_add(1, std::memory_order_relaxed);
    stats().active_faults.inc();
    return true;
  }

  const Factory& factory_;
  FilterContext& context_;
  const Settings* settings_ = nullptr;
  bool is_active_ = false;
};

std::optional<Delay> parse_delay(const Node& node) {
  if (node.is_missing()) return std::nullopt;
  Delay delay;
  const Node how = node.one_of({"fixed_delay", "header_delay"});
  if (how.is_scalar()) {
    delay.fixed = how.as_duration();
    if (delay.fixed == Duration{}) how.expected("a duration above zero");
  } else if (how.is_present()) {
    how.reject_unknown_keys();
  }
  delay.fraction = node["percentage"].as_fraction_or(delay.fraction);
  node.reject_unknown_keys();
  return delay;
}

std::optional<Abort> parse_abort(const Node& node) {
  if (node.is_missing()) return std::nullopt;
  Abort abort;
  node.unsupported({"response_body"}, kLater);
  const Node how = node.one_of({"http_status", "grpc_status", "header_abort"});
  if (how.is_scalar() && how.key().starts_with("http")) {
    abort.http_status = static_cast<uint16_t>(how.as_u32(200, 599));
  } else if (how.is_scalar()) {
    abort.grpc_status = how.as_u32();
  } else if (how.is_present()) {
    how.reject_unknown_keys();
  }
  abort.fraction = node["percentage"].as_fraction_or(abort.fraction);
  node.reject_unknown_keys();
  return abort;
}

// The keys of Envoy, or those that the fields name instead.  What is configured can be changed by
// them; they bring no fault of their own.
void apply_runtime(Settings& settings, const Node& node) {
  const auto key = [&node](std::string_view field, std::string_view otherwise) {
    const Node name = node[field];
    return name.is_present() ? name.as_view_or() : otherwise;
  };
  const auto delay_share = key("delay_percent_runtime", "fault.http.delay.fixed_delay_percent");
  const auto delay_time = key("delay_duration_runtime", "fault.http.delay.fixed_duration_ms");
  const auto abort_share = key("abort_percent_runtime", "fault.http.abort.abort_percent");
  const auto status = key("abort_http_status_runtime", "fault.http.abort.http_status");
  const auto grpc = key("abort_grpc_status_runtime", "fault.http.abort.grpc_status");
  const auto active = key("max_active_faults_runtime", "fault.http.max_active_faults");
  if (settings.delay) {
    Delay& delay = *settings.delay;
    delay.fraction = config::runtime_fraction(node, delay_share, delay.fraction);
    if (delay.fixed != Duration{}) {
      const auto ms = static_cast<uint64_t>(to_millis(delay.fixed));
      const uint64_t now = config::runtime_uint(node, delay_time, ms, kMaxDelayMs);
      if (now != ms) delay.fixed = std::chrono::milliseconds(now);
      if (now == 0) delay.fraction = {0, 100};  // fixed, and of no time: none
    }
  }
  if (settings.abort) {
    Abort& abort = *settings.abort;
    abort.fraction = config::runtime_fraction(node, abort_share, abort.fraction);
    if (abort.http_status != 0) {
      const uint64_t now = config::runtime_uint(node, status, abort.http_status, 599);
      if (now >= 200) abort.http_status = static_cast<uint16_t>(now);
    }
    if (abort.grpc_status)
      abort.grpc_status =
          static_cast<uint32_t>(config::runtime_uint(node, grpc, *abort.grpc_status));
  }
  if (settings.max_active)
    settings.max_active =
        static_cast<uint32_t>(config::runtime_uint(node, active, *settings.max_active));
}

Settings parse_settings(const Node& node) {
  Settings settings;
  settings.delay = parse_delay(node["delay"]);
  settings.abort = parse_abort(node["abort"]);
  settings.upstream_cluster = node["upstream_cluster"].as_string_or("");
  for (const Node item : node["headers"].items())
    settings.headers.push_back(match::parse_header_matcher(item));
  for (const Node item : node["downstream_nodes"].items())
    settings.downstream_nodes.push_back(item.as_string());
  if (const Node max = node["max_active_faults"]; max.is_present())
    settings.max_active = max.as_u32();
  apply_runtime(settings, node);
  // No rate is limited, and there are no counters per calling cluster.
  node.ignore({"response_rate_limit_percent_runtime", "disable_downstream_cluster_stats"});
  node.unsupported({"response_rate_limit", "filter_metadata"}, kLater);
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  return settings;
}

std::shared_ptr<const core::HttpFilterFactory> parse(const Node& node,
                                                     const core::FilterParseContext&) {
  auto factory = std::make_shared<Factory>();
  factory->settings = parse_settings(node);
  return factory;
}

std::shared_ptr<const route::FilterRouteConfig> parse_route(const Node& node,
                                                            const core::FilterParseContext&) {
  auto config = std::make_shared<RouteConfig>();
  config->settings = parse_settings(node);
  return config;
}

constexpr std::string_view kType = "envoy.extensions.filters.http.fault.v3.HTTPFault";

}  // namespace

extern const core::HttpFilterType kFault;
const core::HttpFilterType kFault{kType, kType, parse, parse_route};

}  // namespace pillion::filters
