// ControlPlane: what is refused, what does not come in time, and what goes on without it.
#include <utility>

#include "proxy/control/control_plane.h"

namespace pillion {
namespace {

using xds::ResourceType;

}  // namespace

void ControlPlane::answer(uint32_t source, ResourceType type, std::string_view wrong,
                          const std::set<std::string>* refused) {
  if (wrong.empty()) {
    refusal_log_.accepted(type);
    return sources_.accept(source, type);
  }
  refusal_log_.refused(type, sources_.origin(source), wrong, context_.loop.now());
  sources_.reject(source, type, wrong, refused);
}

// What became of each table of the response that was built; true if one need not be waited for any
// more.
bool ControlPlane::look_at_routes(const Resources& resources, Duration took) {
  bool gave_up = false;
  for (const auto& [name, version] : std::exchange(routes_, {})) {
    const auto it = resources.routes.find(name);
    if (it == resources.routes.end()) continue;
    const Piece<CompiledRoutes>& piece = it->second;
    const bool is_good = !piece.error;
    if (is_good) {
      route_stats_.on_success(name, version, piece.bytes_hash, took);
    } else {
      route_stats_.on_rejected(name);
    }
    const bool goes_without = piece.newest == nullptr && may_go_without();
    if (goes_without) gave_up |= given_up_routes_.insert(name).second;
    if (is_good || goes_without) sources_.answered(ResourceType::kRoutes, name);
  }
  return gave_up;
}

void ControlPlane::on_fetch_timeout(ResourceType type, const std::set<std::string>& names) {
  switch (type) {
    case ResourceType::kClusters:
      cds_stats_->init_fetch_timeout.inc();
      has_clusters_ = true;
      return advance();
    case ResourceType::kListeners:
      lds_stats_->init_fetch_timeout.inc();
      has_listeners_ = true;
      return advance();
    case ResourceType::kEndpoints:
      assignments_.on_fetch_timeout(names);
      break;
    case ResourceType::kSecrets:
      return context_.secrets->on_fetch_timeout(names);
    case ResourceType::kRoutes:
      given_up_routes_.insert(names.begin(), names.end());
      for (const std::string& name : names) {
        route_stats_.on_fetch_timeout(name);
        requests_.on_given_up(core::RouteKind::kTable, name);
      }
      break;
    case ResourceType::kVirtualHosts:
      given_up_virtual_hosts_ = true;
      if (names.contains("*")) host_stats_.on_fetch_timeout();
      for (const std::string& name : names)
        requests_.on_given_up(core::RouteKind::kVirtualHost, name);
      break;
    case ResourceType::kScopedRoutes:
      given_up_scopes_ = true;
      scope_stats_.on_fetch_timeout();
      break;
    case ResourceType::kExtensions:
      extensions_.on_fetch_timeout(names);
      break;
    case ResourceType::kRuntime:
      runtime_stats_->init_fetch_timeout.inc();
      for (const std::string& name : names) awaited_layers_.erase(name);
      return advance();
    default:  // nobody asks for others
      break;
  }
  host_.on_resources_wait();
}

// All of a response is refused.
void ControlPlane::refuse_all(uint32_t source, ResourceType type) {
  const Subscriptions::Names& names = sources_.asked(source, type);
  const auto answered = [&](const std::string& name) { sources_.answered(type, name); };
  if (type == ResourceType::kExtensions)
    extensions_.on_all_refused(names, may_go_without(), answered);
  if (type == ResourceType::kRuntime && may_go_without()) {
    for (const auto& [name, timeout] : names) {
      awaited_layers_.erase(name);
      answered(name);
    }
  }
  if (type == ResourceType::kScopedRoutes && may_go_without()) given_up_scopes_ = true;
  if (type == ResourceType::kVirtualHosts && may_go_without()) given_up_virtual_hosts_ = true;
  if (type != ResourceType::kRoutes) return;
  for (const auto& [name, timeout] : names) {
    route_stats_.on_rejected(name);
    if (!may_go_without()) continue;
    given_up_routes_.insert(name);
    answered(name);
  }
}

}  // namespace pillion
