// ControlPlane: routes that are fetched because requests ask for them (VHDS, on-demand scopes).
#include "proxy/builder/virtual_hosts.h"
#include "proxy/control/control_plane.h"

namespace pillion {

using xds::ResourceType;

void ControlPlane::want_route(const core::RouteName& name) {
  switch (requests_.want(name, context_.loop.now())) {
    case RouteRequests::Verdict::kAnswered:
      return host_.on_routes_answered({name});
    case RouteRequests::Verdict::kWaits:
      return;
    case RouteRequests::Verdict::kAsk:
      break;
  }
  if (!unused_timer_.is_armed()) context_.loop.arm(unused_timer_, RouteRequests::kUnusedTime / 2);
  // A table is wanted once the builder knows that somebody asks for it.
  if (name.kind == core::RouteKind::kTable) return host_.on_resources_wait();
  // Of a crowd of requests in one turn all names are asked for at once.
  context_.loop.post(ask_for_hosts_);
}

// Names that requests have asked for, or need no more.
void ControlPlane::ask_for_hosts() {
  const Names touched = hosts_.change(requests_.take_touched(), requests_.virtual_hosts());
  if (touched.empty() || phase_ <= Phase::kClusters) return;
  sources_.change(ResourceType::kVirtualHosts, touched, hosts_.wanted());
}

// Tables that have VHDS now, or have it no more.
void ControlPlane::update_vhds(const Resources& before, const Resources& now, const Names& routes) {
  Names tables;
  const Names touched = hosts_.use(before, now, requests_.virtual_hosts(), tables);
  // Of other tables the users do not count.
  for (const std::string& name : routes)
    if (has_vhds(now, name)) tables.insert(name);
  if (!tables.empty()) host_stats_.change(tables, now, route_needs_.users(now, tables));
  if (touched.empty() || phase_ <= Phase::kClusters) return;
  sources_.change(ResourceType::kVirtualHosts, touched, hosts_.wanted());
}

// Before it is built, as an answer may be that there is no such thing.
void ControlPlane::note_answers(const xds::Response& response) {
  if (response.type == ResourceType::kRoutes) {
    for (const xds::Resource& resource : response.resources)
      requests_.on_answered(core::RouteKind::kTable, resource.name, resource.name);
    for (const std::string& name : response.removed)
      requests_.on_answered(core::RouteKind::kTable, name, name);
  }
  if (response.type != ResourceType::kVirtualHosts) return;
  const auto take = [this](const std::string& name, const std::string& resource) {
    requests_.on_answered(core::RouteKind::kVirtualHost, name, resource);
    sources_.answered(ResourceType::kVirtualHosts, name);
  };
  // Any answer is one to the wildcard.
  sources_.answered(ResourceType::kVirtualHosts, "*");
  for (const xds::Resource& resource : response.resources) {
    take(resource.name, resource.name);
    for (const std::string& alias : resource.aliases) take(alias, resource.name);
  }
  for (const std::string& name : response.removed) take(name, name);
}

void ControlPlane::on_applied() {
  const std::vector<core::RouteName> answers = requests_.take_answers();
  if (!answers.empty()) host_.on_routes_answered(answers);
}

void ControlPlane::drop_unused_hosts() {
  const std::set<std::string> unused = requests_.drop_unused(*resources_, context_.loop.now());
  for (const std::string& name : unused) {
    dropped_hosts_.insert(name);
    sources_.forget(ResourceType::kVirtualHosts, name);
  }
  if (!requests_.empty()) context_.loop.arm(unused_timer_, RouteRequests::kUnusedTime / 2);
  ask_for_hosts();
  if (!unused.empty()) host_.on_resources_wait();
}

}  // namespace pillion
