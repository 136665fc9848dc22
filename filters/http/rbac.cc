// envoy.filters.http.rbac: who may ask for what.  The policies and how they are judged are in
// ../rbac; this is what becomes of the verdict.
//
// A verdict holds for the request that it was made for.  If a filter changes its path, authority or
// method, or its route, it is made anew before the request goes to the router.
#include <optional>
#include <string>
#include <utility>

#include "filters/judged.h"
#include "filters/named_rows.h"
#include "filters/rbac/engine.h"
#include "filters/route_path.h"
#include "proxy/core/http_filter.h"

namespace pillion::filters {
namespace {

using config::Node;
using core::FilterContext;
using core::FilterVerdict;
using core::MetadataValue;

constexpr std::string_view kSpace = "envoy.filters.http.rbac";
constexpr std::string_view kCommonSpace = "envoy.common";

// The message RBAC.
struct Policies {
  std::unique_ptr<const rbac::Engine> engine;  // null: all is allowed
  std::unique_ptr<const rbac::Engine> shadow;
  std::string stat_prefix;
  std::string shadow_stat_prefix;
  // Keys of the metadata that tells what came out.
  std::string policy_key, result_key;
  std::string shadow_policy_key, shadow_result_key;
  bool counts_policies = false;  // track_per_rule_stats
};

struct RouteConfig final : route::FilterRouteConfig {
  std::optional<Policies> policies;  // none: nobody judges on this route
};

// Verdicts of a route's own policies count here too, as in Envoy: a route's stat prefixes name its
// metadata alone.
class WorkerState final : public core::FilterWorkerState {
 public:
  WorkerState(const core::FilterWorkerSetup& setup, const Policies& policies)
      : rules(setup.registry.block<stats::RbacStats>(setup.writer, setup.stat_prefix,
                                                     policies.stat_prefix)),
        shadow(setup.registry.block<stats::RbacShadowStats>(setup.writer, setup.stat_prefix,
                                                            policies.shadow_stat_prefix)),
        registry_(setup.registry),
        writer_(setup.writer),
        stat_prefix_(setup.stat_prefix) {}

  // Names are those of the configuration: no client invents one.
  stats::RbacPolicyStats& policy(std::string_view name, Instant now) {
    return policies_.row(name, now, [this](std::string_view n) {
      return registry_.block<stats::RbacPolicyStats>(writer_, stat_prefix_, n);
    });
  }

  stats::BlockRef<stats::RbacStats> rules;
  stats::BlockRef<stats::RbacShadowStats> shadow;

 private:
  stats::Registry& registry_;
  stats::Writer writer_;
  std::string stat_prefix_;
  NamedRows<stats::RbacPolicyStats> policies_;
};

// What has been counted of a request in one place.  Each outcome counts once, however often it is
// judged, and who was denied there is not allowed any more.
struct Counted {
  bool allowed = false;
  bool denied = false;

  bool is_new(bool is_allowed) noexcept {
    if (!is_allowed) return !std::exchange(denied, true);
    return !denied && !std::exchange(allowed, true);
  }
};

class Filter;

class Factory final : public core::HttpFilterFactory {
 public:
  [[nodiscard]] core::FilterHooks hooks() const override;
  core::HttpFilter* create(Arena& arena, FilterContext& context) const override;
  [[nodiscard]] std::unique_ptr<core::FilterWorkerState> make_worker_state(
      const core::FilterWorkerSetup& setup) const override {
    return std::make_unique<WorkerState>(setup, policies);
  }
  [[nodiscard]] core::FilterExplanation explain(const core::FilterQuestion& q) const override {
    const Policies* of = policies_of(static_cast<const RouteConfig*>(q.route_config));
    if (of == nullptr || of->engine == nullptr) return {};
    const core::StreamInfo none;  // no filter has left any metadata
    const rbac::Facts facts{q.connection, &q.head, path_of(q.head, q.route), q.connection.sni(),
                            &none};
    const rbac::Verdict verdict = of->engine->judge(facts);
    return {of->engine->describe(verdict), !verdict.allowed};
  }
  // Null: nobody judges there.
  [[nodiscard]] const Policies* policies_of(const RouteConfig* config) const {
    if (config == nullptr) return &policies;
    return config->policies ? &*config->policies : nullptr;
  }
  Policies policies;
};

class Filter final : public core::HttpFilter {
 public:
  Filter(const Factory& factory, FilterContext& context) : factory_(factory), context_(context) {}

  FilterVerdict on_request_head(http::RequestHead& head, bool) override {
    // In Envoy the filter's own configuration is in force before there is a route, too.
    judged_ = Judged::of(head, context_);
    is_judged_ = true;
    const Policies* policies = factory_.policies_of(own_config());
    if (policies == nullptr) return FilterVerdict::kContinue;
    const rbac::Facts facts{context_.connection(), &head, path_of(head, context_.route()),
                            context_.connection().sni(), &context_.info()};
    if (policies->shadow != nullptr) judge_shadow(*policies, facts);
    return policies->engine == nullptr ? FilterVerdict::kContinue : judge(*policies, facts);
  }

  FilterVerdict on_request_settled(http::RequestHead& head) override {
    const bool is_same = is_judged_ && judged_ == Judged::of(head, context_);
    return is_same ? FilterVerdict::kContinue : on_request_head(head, false);
  }

 private:
  [[nodiscard]] const RouteConfig* own_config() const {
    return context_.route_config<RouteConfig>();
  }

  FilterVerdict judge(const Policies& policies, const rbac::Facts& facts) {
    const rbac::Engine& engine = *policies.engine;
    const rbac::Verdict verdict = engine.judge(facts);
    WorkerState& state = context_.worker_state<WorkerState>();
    if (verdict.log_hint)
      context_.set_metadata(kCommonSpace, "access_log_hint", MetadataValue::of(*verdict.log_hint));
    const bool is_new = counted_.is_new(verdict.allowed);
    if (is_new) (verdict.allowed ? state.rules->allowed : state.rules->denied).inc();
    const std::string_view policy = engine.policy_name(verdict.policy);
    tell(policies.policy_key, policies.result_key, policy, verdict.allowed);
    if (is_new && policies.counts_policies && !policy.empty()) {
      auto& counters = state.policy(policy, context_.now());
      (verdict.allowed ? counters.allowed : counters.denied).inc();
    }
    if (verdict.allowed) return FilterVerdict::kContinue;
    context_.local_reply({.status = 403,
                          .body = "RBAC: access denied",
                          .details = engine.denial_details(verdict.policy)});
    return FilterVerdict::kStop;
  }

  void judge_shadow(const Policies& policies, const rbac::Facts& facts) {
    const rbac::Engine& engine = *policies.shadow;
    const rbac::Verdict verdict = engine.judge(facts);
    WorkerState& state = context_.worker_state<WorkerState>();
    const bool is_new = shadow_counted_.is_new(verdict.allowed);
    if (is_new)
      (verdict.allowed ? state.shadow->shadow_allowed : state.shadow->shadow_denied).inc();
    const std::string_view policy = engine.policy_name(verdict.policy);
    tell(policies.shadow_policy_key, policies.shadow_result_key, policy, verdict.allowed);
    if (!is_new || !policies.counts_policies || policy.empty()) return;
    auto& counters = state.policy(policy, context_.now());
    (verdict.allowed ? counters.shadow_allowed : counters.shadow_denied).inc();
  }

  void tell(std::string_view policy_key, std::string_view result_key, std::string_view policy,
            bool allowed) {
    if (!policy.empty()) context_.set_metadata(kSpace, policy_key, MetadataValue::of(policy));
    context_.set_metadata(
        kSpace, result_key,
        MetadataValue::of(allowed ? std::string_view("allowed") : std::string_view("denied")));
  }

  const Factory& factory_;
  FilterContext& context_;
  Judged judged_;
  bool is_judged_ = false;
  Counted counted_, shadow_counted_;
};

core::FilterHooks Factory::hooks() const { return core::hooks_of<Filter>(); }

core::HttpFilter* Factory::create(Arena& arena, FilterContext& context) const {
  return arena.create<Filter>(*this, context);
}

Policies parse_policies(const Node& node) {
  Policies out;
  (void)node.one_of({"rules", "matcher"}, config::Need::kAtMostOne);
  (void)node.one_of({"shadow_rules", "shadow_matcher"}, config::Need::kAtMostOne);
  constexpr rbac::Scope kScope = rbac::Scope::kRequest;
  out.engine = rbac::Engine::parse(node["rules"], node["matcher"], kScope);
  out.shadow = rbac::Engine::parse(node["shadow_rules"], node["shadow_matcher"], kScope);
  out.stat_prefix = node["rules_stat_prefix"].as_string_or("");
  out.shadow_stat_prefix = node["shadow_rules_stat_prefix"].as_string_or("");
  out.policy_key = out.stat_prefix + "enforced_effective_policy_id";
  out.result_key = out.stat_prefix + "enforced_engine_result";
  out.shadow_policy_key = out.shadow_stat_prefix + "shadow_effective_policy_id";
  out.shadow_result_key = out.shadow_stat_prefix + "shadow_engine_result";
  out.counts_policies = node["track_per_rule_stats"].as_bool_or(false);
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  return out;
}

std::shared_ptr<const core::HttpFilterFactory> parse(const Node& node,
                                                     const core::FilterParseContext&) {
  auto factory = std::make_shared<Factory>();
  factory->policies = parse_policies(node);
  return factory;
}

std::shared_ptr<const route::FilterRouteConfig> parse_route(const Node& node,
                                                            const core::FilterParseContext&) {
  auto config = std::make_shared<RouteConfig>();
  if (const Node policies = node["rbac"]; policies.is_present())
    config->policies = parse_policies(policies);
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  return config;
}

}  // namespace

extern const core::HttpFilterType kRbac;
const core::HttpFilterType kRbac{"envoy.extensions.filters.http.rbac.v3.RBAC",
                                 "envoy.extensions.filters.http.rbac.v3.RBACPerRoute", parse,
                                 parse_route};

}  // namespace pillion::filters
