// envoy.filters.network.rbac: who may connect.  The policies and how they are judged are in
// ../rbac; they can ask for all but what is of HTTP.
//
// A connection is judged once, when it is there: after the TLS handshake, before a byte of it is
// read.  Envoy waits for the first byte (ONE_TIME_ON_FIRST_BYTE), and its TCP proxy asks the
// upstream before; CONTINUOUS judges again by the metadata of filters that read protocols, which
// there are none of: it comes to the same.
#include <string>

#include "filters/rbac/engine.h"
#include "proxy/core/network_filter.h"

namespace pillion::filters {
namespace {

using config::EnumRow;
using config::Node;

constexpr EnumRow kEnforcement[] = {{"ONE_TIME_ON_FIRST_BYTE", 0}, {"CONTINUOUS", 1}};

struct WorkerState final : core::FilterWorkerState {
  WorkerState(const core::FilterWorkerSetup& setup, std::string_view prefix,
              std::string_view shadow_prefix)
      : rules(setup.registry.block<stats::RbacNetworkStats>(setup.writer, prefix)),
        shadow(setup.registry.block<stats::RbacNetworkShadowStats>(setup.writer, prefix,
                                                                   shadow_prefix)) {}
  stats::BlockRef<stats::RbacNetworkStats> rules;
  stats::BlockRef<stats::RbacNetworkShadowStats> shadow;
};

class Filter final : public core::NetworkFilter {
 public:
  [[nodiscard]] core::NetworkVerdict on_connection(const core::NetworkFacts& connection,
                                                   core::FilterWorkerState* state) const override {
    auto& counters = static_cast<WorkerState&>(*state);
    const rbac::Facts facts{connection.connection, nullptr, {}, connection.server_name, nullptr};
    if (shadow != nullptr) {
      const bool allowed = shadow->judge(facts).allowed;
      (allowed ? counters.shadow->shadow_allowed : counters.shadow->shadow_denied).inc();
    }
    if (engine == nullptr) return {};
    const rbac::Verdict verdict = engine->judge(facts);
    (verdict.allowed ? counters.rules->allowed : counters.rules->denied).inc();
    if (verdict.allowed) return {};
    return {false, engine->denial_details(verdict.policy), delay_deny};
  }
  [[nodiscard]] core::FilterExplanation explain(const core::NetworkFacts& of) const override {
    if (engine == nullptr) return {};
    const rbac::Verdict verdict =
        engine->judge({of.connection, nullptr, {}, of.server_name, nullptr});
    return {engine->describe(verdict), !verdict.allowed};
  }
  [[nodiscard]] std::unique_ptr<core::FilterWorkerState> make_worker_state(
      const core::FilterWorkerSetup& setup) const override {
    return std::make_unique<WorkerState>(setup, stat_prefix, shadow_stat_prefix);
  }

  std::unique_ptr<const rbac::Engine> engine;  // null: all are allowed
  std::unique_ptr<const rbac::Engine> shadow;
  std::string stat_prefix;
  std::string shadow_stat_prefix;
  Duration delay_deny{};
};

std::shared_ptr<const core::NetworkFilter> parse(const Node& node) {
  auto filter = std::make_shared<Filter>();
  constexpr rbac::Scope kScope = rbac::Scope::kConnection;
  (void)node.one_of({"rules", "matcher"}, config::Need::kAtMostOne);
  (void)node.one_of({"shadow_rules", "shadow_matcher"}, config::Need::kAtMostOne);
  filter->engine = rbac::Engine::parse(node["rules"], node["matcher"], kScope);
  filter->shadow = rbac::Engine::parse(node["shadow_rules"], node["shadow_matcher"], kScope);
  filter->stat_prefix = node["stat_prefix"].as_string();
  filter->shadow_stat_prefix = node["shadow_rules_stat_prefix"].as_string_or("");
  (void)node["enforcement_type"].as_enum_or<int>(0, kEnforcement);
  filter->delay_deny = node["delay_deny"].as_duration_or(Duration{});
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  return filter;
}

}  // namespace

extern const core::NetworkFilterType kNetworkRbac;
const core::NetworkFilterType kNetworkRbac{"envoy.extensions.filters.network.rbac.v3.RBAC", parse};

}  // namespace pillion::filters
