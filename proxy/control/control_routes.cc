// ControlPlane: routes that are fetched because requests ask for them (VHDS, on-demand scopes).
#include <algorithm>
#include <utility>

#include "proxy/builder/virtual_hosts.h"
#include "proxy/control/control_plane.h"

namespace pillion {

using xds::ResourceType;

void ControlPlane::want_route(const core::RouteName& name) {
  const RouteRequests::Verdict verdict = requests_.want(name, context_.loop.now());
  if (verdict == RouteRequests::Verdict::kWaits) return;
  if (verdict == RouteRequests::Verdict::kAnswered) {
    answered_.push_back(name);
  } else {
    if (!unused_timer_.is_armed()) context_.loop.arm(unused_timer_, RouteRequests::kUnusedTime / 2);
    if (!forsaken_timer_.is_armed())
      context_.loop.arm(forsaken_timer_, RouteRequests::kForsakenTime);
    // A table is wanted once the builder knows that somebody asks for it.
    if (name.kind == core::RouteKind::kTable) host_.on_resources_wait();
  }
  // Of a crowd of requests in one turn all names are asked for, or answered, at once.
  context_.loop.post(ask_for_hosts_);
}

// Names that requests have asked for, or need no more; and that they need not wait for.
void ControlPlane::ask_for_hosts() {
  for (core::RouteName& name : requests_.take_forsaken()) answered_.push_back(std::move(name));
  if (!answered_.empty()) host_.on_routes_answered(std::exchange(answered_, {}));
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
  for (const std::string& name : tables)
    if (!now.routes.contains(name)) drop_hosts(requests_.drop_hosts_of(name));
  if (touched.empty() || phase_ <= Phase::kClusters) return;
  sources_.change(ResourceType::kVirtualHosts, touched, hosts_.wanted());
}

namespace {

// Calls fn(kind, name, what it is called) for each name of a route that the response is about.
template <typename Fn>
void for_each_answer(const xds::Response& response, Fn&& fn) {
  const bool is_hosts = response.type == ResourceType::kVirtualHosts;
  if (!is_hosts && response.type != ResourceType::kRoutes) return;
  const auto kind = is_hosts ? core::RouteKind::kVirtualHost : core::RouteKind::kTable;
  for (const xds::Resource& resource : response.resources) {
    fn(kind, resource.name, resource.name);
    for (const std::string& alias : resource.aliases) fn(kind, alias, resource.name);
  }
  for (const std::string& name : response.removed) fn(kind, name, name);
}

}  // namespace

void ControlPlane::note_heard(const xds::Response& response) {
  for_each_answer(response, [this](core::RouteKind kind, const std::string& name,
                                   const std::string&) { requests_.on_heard(kind, name); });
}

// Hosts that were asked for and given up meanwhile: of a server that is slow, and takes no word
// that they are not wanted any more, there would be no end.
void ControlPlane::leave_late_hosts(xds::Response& response) {
  std::erase_if(response.resources, [this](const xds::Resource& resource) {
    bool is_late = requests_.take_late(resource.name);
    for (const std::string& alias : resource.aliases) is_late |= requests_.take_late(alias);
    const auto is_wanted = [this](const std::string& name) {
      return requests_.virtual_hosts().contains(name);
    };
    if (!is_late || is_wanted(resource.name) || std::ranges::any_of(resource.aliases, is_wanted))
      return false;
    sources_.forget(ResourceType::kVirtualHosts, resource.name);
    return true;
  });
}

// Before it is built, as an answer may be that there is no such thing.
void ControlPlane::note_answers(xds::Response& response) {
  const bool is_hosts = response.type == ResourceType::kVirtualHosts;
  if (is_hosts) leave_late_hosts(response);
  // Any answer is one to the wildcard.
  if (is_hosts) sources_.answered(ResourceType::kVirtualHosts, "*");
  for_each_answer(response,
                  [&](core::RouteKind kind, const std::string& name, const std::string& resource) {
                    requests_.on_answered(kind, name, resource);
                    if (is_hosts) sources_.answered(ResourceType::kVirtualHosts, name);
                  });
}

void ControlPlane::on_applied() {
  const std::vector<core::RouteName> answers = requests_.take_answers();
  if (!answers.empty()) host_.on_routes_answered(answers);
}

// ---- what is forgotten ----

void ControlPlane::drop_hosts(const std::set<std::string>& names) {
  for (const std::string& name : names) {
    dropped_hosts_.insert(name);
    sources_.forget(ResourceType::kVirtualHosts, name);
  }
}

void ControlPlane::drop_unused_routes() {
  const SharedNames before = requests_.tables();
  const std::set<std::string> unused = requests_.drop_unused(*resources_, context_.loop.now());
  drop_hosts(unused);
  if (!requests_.empty()) context_.loop.arm(unused_timer_, RouteRequests::kUnusedTime / 2);
  ask_for_hosts();
  if (!unused.empty() || !are_same(before, requests_.tables())) host_.on_resources_wait();
}

void ControlPlane::drop_forsaken_routes() {
  const SharedNames before = requests_.tables();
  requests_.drop_forsaken(context_.loop.now());
  if (const Instant next = requests_.forsaken_at(); next != Instant{})
    context_.loop.arm_at(forsaken_timer_, next);
  ask_for_hosts();
  if (!are_same(before, requests_.tables())) host_.on_resources_wait();
}

// `names`: tables that something may name no more.
void ControlPlane::drop_unnamed_tables(const Resources& now, const Names& names) {
  Names asked;
  for (const std::string& name : names)
    if (requests_.tables().contains(name)) asked.insert(asked.end(), name);
  if (!asked.empty()) requests_.drop_tables(route_needs_.unnamed(now, asked));
}

}  // namespace pillion
