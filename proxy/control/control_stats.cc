// ControlPlane: what is counted.
#include <utility>

#include "proxy/builder/virtual_hosts.h"
#include "proxy/control/control_plane.h"

namespace pillion {

using xds::ResourceType;

void ControlPlane::update_stats() {
  const auto add = [this](ResourceType type, auto& block) {
    const xds::SourceCounts now = sources_.counts(type);
    const xds::SourceCounts before = std::exchange(told_[static_cast<size_t>(type)], now);
    add_growth(block, growth(before, now), sources_.version(type));
  };
  add(ResourceType::kClusters, *cds_stats_);
  add(ResourceType::kListeners, *lds_stats_);
  add(ResourceType::kRuntime, *runtime_stats_);
  scope_stats_.update(sources_.counts(ResourceType::kScopedRoutes),
                      sources_.version(ResourceType::kScopedRoutes));
  host_stats_.update(sources_.counts(ResourceType::kVirtualHosts),
                     sources_.version(ResourceType::kVirtualHosts));
  const xds::RateCounts rates = sources_.rate_counts();
  const xds::RateCounts told = std::exchange(told_rates_, rates);
  stats_->pending_requests.set(static_cast<int64_t>(rates.pending));
  if (rates.enforced > told.enforced)
    stats_->rate_limit_enforced.add(rates.enforced - told.enforced);
  uint64_t superseded = 0;
  for (const ResourceType type : xds::kAllTypes) superseded += sources_.counts(type).superseded;
  // A source that is asked no more takes its own along.
  const uint64_t told_superseded = std::exchange(told_superseded_, superseded);
  if (superseded > told_superseded) stats_->responses_superseded.add(superseded - told_superseded);
  count_failures();
}

// Of types that have counters for all of it; those of single names are counted by name.
void ControlPlane::count_built(const BuildResult& result, const Resources& resources,
                               Duration took) {
  for (const Answer& one : result.answers) {
    if (one.type == ResourceType::kClusters) {
      bool is_new = false;
      const auto newest = [](const auto* piece) {
        return piece == nullptr ? nullptr : piece->newest.get();
      };
      diff(resources_ == nullptr ? Pieces<CompiledCluster>() : resources_->clusters,
           resources.clusters, [&](std::string_view, const auto* a, const auto* b) {
             is_new |= newest(a) != newest(b);
           });
      if (is_new) cds_stats_->config_reload.inc();
      if (is_new) cds_stats_->config_reload_time_ms.set(to_millis(wall_now().time_since_epoch()));
    }
    if (!one.wrong.empty()) continue;
    if (one.type == ResourceType::kClusters) cds_stats_->update_duration.record(took);
    if (one.type == ResourceType::kListeners) lds_stats_->update_duration.record(took);
    if (one.type == ResourceType::kRuntime) runtime_stats_->update_duration.record(took);
    if (one.type == ResourceType::kScopedRoutes) scope_stats_.on_taken(resources, took);
    if (one.type == ResourceType::kVirtualHosts) host_stats_.on_taken(resources, took);
  }
}

// An answer without the tables that it is about.
void ControlPlane::count_empty_routes(const xds::Response& response) {
  if (!response.wrong.empty()) return;
  for (const std::string& name : response.removed) route_stats_.on_empty(name);
  if (response.is_delta || !response.resources.empty() || !response.unchanged.empty()) return;
  for (const auto& [name, timeout] : sources_.asked(response.source, ResourceType::kRoutes))
    route_stats_.on_empty(name);
}

// For the names that there were then: before they change, and before a scrape.
void ControlPlane::count_failures() {
  sources_.take_failures(ResourceType::kEndpoints, [this](const std::string& name, uint64_t times) {
    assignments_.on_failures(name, times);
  });
  sources_.take_failures(ResourceType::kRoutes, [this](const std::string& name, uint64_t times) {
    route_stats_.on_failures(name, times);
  });
  sources_.take_failures(
      ResourceType::kExtensions,
      [this](const std::string& name, uint64_t times) { extensions_.on_failures(name, times); });
  if (context_.secrets == nullptr) return;
  sources_.take_failures(ResourceType::kSecrets, [this](const std::string& name, uint64_t times) {
    context_.secrets->on_failures(name, times);
  });
}

}  // namespace pillion
