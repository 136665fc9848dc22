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
  subscribe_virtual_hosts();
}

void ControlPlane::subscribe_virtual_hosts() {
  const auto wanted = wanted_virtual_hosts(*resources_, requests_.virtual_hosts());
  if (wanted.empty() && !asks_for_hosts_) return;
  asks_for_hosts_ = !wanted.empty();
  sources_.subscribe(ResourceType::kVirtualHosts, wanted);
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
  dropped_hosts_.merge(requests_.drop_unused(*resources_, context_.loop.now()));
  if (!requests_.empty()) context_.loop.arm(unused_timer_, RouteRequests::kUnusedTime / 2);
  subscribe_virtual_hosts();
  if (!dropped_hosts_.empty()) host_.on_resources_wait();
}

}  // namespace pillion
