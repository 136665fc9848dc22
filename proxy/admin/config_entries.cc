#include "proxy/admin/config_entries.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace pillion::admin {
namespace {

using Kind = ConfigResource::Kind;

// Of one call, so that a filter that fits nothing blocks nobody.
constexpr size_t kLooksPerCall = 1000;

template <typename Fn>
void for_each_item(const config::Value* list, Fn&& fn) {
  if (list == nullptr || list->kind != config::Kind::kSequence) return;
  for (const config::Value* v = list->first_child; v != nullptr; v = v->next) fn(v);
}

// Of a cluster in force view.cluster() knows the endpoints.
ConfigResource endpoints_of(const ServerView& view, const ConfigResource& cluster) {
  ConfigResource out;
  out.kind = Kind::kEndpoints;
  out.is_dynamic = cluster.is_dynamic;
  out.name = cluster.name;
  out.make_document = [&view, name = cluster.name]() -> std::shared_ptr<const config::Document> {
    ClusterStatus status;
    return view.cluster(name, status) ? assignment_of(status) : nullptr;
  };
  return out;
}

}  // namespace

ConfigEntries::ConfigEntries(const ServerView& view, const DumpSection& section, Filter filter,
                             const DumpList* list)
    : view_(view), section_(section), filter_(std::move(filter)), list_(list) {
  const bool has_endpoints = section.kind == Kind::kEndpoints;
  resources_ = view.config(has_endpoints ? Kind::kCluster : section.kind);
  if (has_endpoints) {
    std::erase_if(resources_, [](const auto& one) { return one.is_warming; });
    for (ConfigResource& one : view.config(Kind::kEndpoints)) {
      if (!one.error_state) continue;
      std::string name = one.name;
      refused_endpoints_.emplace(std::move(name), std::move(one));
    }
  }
  const auto order = [&section](const ConfigResource& r) {
    return list_of(section, r);  // the lists of a section are one array
  };
  if (!std::ranges::is_sorted(resources_, std::ranges::less(), order))
    std::ranges::stable_sort(resources_, std::ranges::less(), order);
  const bool has_inline = section.kind == Kind::kRoute && (list_ == nullptr || !list_->is_dynamic);
  if (has_inline) listeners_ = view.config(Kind::kListener);
}

// Lists without a place for what waits have only what is in force, or was refused.
bool ConfigEntries::is_wanted(const ConfigResource& resource) const {
  const bool has_no_place =
      section_.kind == Kind::kScopedRoute || section_.kind == Kind::kExtension;
  if (has_no_place && resource.is_warming && !resource.error_state) return false;
  if (list_ != nullptr && list_of(section_, resource) != list_) return false;
  return filter_ == nullptr || resource.kind == Kind::kBootstrap || filter_->matches(resource.name);
}

ConfigEntries::Found ConfigEntries::next(std::span<const ConfigResource>& entry) {
  for (size_t looks = 0; looks < kLooksPerCall; ++looks) {
    if (next_inline_ < inline_routes_.size()) {
      entry = {&inline_routes_[next_inline_++], 1};
      if (is_wanted(entry.front())) return Found::kEntry;
    } else if (next_listener_ < listeners_.size()) {
      take_inline_routes();
    } else if (at_ == resources_.size()) {
      return Found::kEnd;
    } else {
      size_t end = at_ + 1;
      const bool has_states = section_.kind == Kind::kListener && resources_[at_].is_dynamic;
      while (has_states && end < resources_.size() && resources_[end].name == resources_[at_].name)
        ++end;
      entry = std::span(resources_).subspan(at_, end - at_);
      at_ = end;
      if (section_.kind == Kind::kEndpoints && is_wanted(entry.front())) {
        endpoints_ = endpoints_of(view_, entry.front());
        if (!refused_endpoints_.empty()) add_refusal(endpoints_.name, endpoints_);
        entry = {&endpoints_, 1};
      }
      if (is_wanted(entry.front())) return Found::kEntry;
    }
  }
  return Found::kLater;
}

// Envoy's entry has a place for it, though not for the name.
void ConfigEntries::add_refusal(std::string_view cluster, ConfigResource& endpoints) const {
  ClusterStatus status;
  if (!endpoints.is_dynamic || !view_.cluster(cluster, status)) return;
  const std::string& eds_name = status.eds_service_name;
  const auto refused =
      refused_endpoints_.find(eds_name.empty() ? cluster : std::string_view(eds_name));
  if (refused == refused_endpoints_.end()) return;
  endpoints.error_state = refused->second.error_state;
  endpoints.client_status = refused->second.client_status;
}

// Of the next listener: filter_chains[].filters[].typed_config.route_config.
void ConfigEntries::take_inline_routes() {
  const ConfigResource& listener = listeners_[next_listener_++];
  inline_routes_.clear();
  next_inline_ = 0;
  std::shared_ptr<const config::Document> document;
  const config::Value* value = listener.is_warming ? nullptr : value_of(listener, document);
  const auto take_chain = [&](const config::Value* chain) {
    for_each_item(child(chain, "filters"), [&](const config::Value* filter) {
      const config::Value* routes = child(child(filter, "typed_config"), "route_config");
      if (routes == nullptr) return;
      ConfigResource found;
      found.kind = Kind::kRoute;
      if (const config::Value* name = child(routes, "name")) found.name = name->scalar();
      found.last_updated = listener.last_updated;
      found.document = document;
      found.value = routes;
      inline_routes_.push_back(std::move(found));
    });
  };
  for_each_item(child(value, "filter_chains"), take_chain);
  take_chain(child(value, "default_filter_chain"));
}

namespace {

void add_endpoint(config::TreeBuilder& out, const HostStatus& host) {
  out.begin_mapping();
  out.key("endpoint").begin_mapping();
  out.key("address").begin_mapping();
  if (host.address.is_ip()) {
    out.key("socket_address").begin_mapping();
    out.key("address").string(host.address.ip_string());
    out.key("port_value").number(host.address.port());
  } else {
    out.key("pipe").begin_mapping();
    out.key("path").string(host.address.path());
  }
  out.end();
  out.end();
  out.key("health_check_config").begin_mapping();
  out.end();
  if (!host.hostname.empty()) out.key("hostname").string(host.hostname);
  out.end();
  const bool is_unhealthy = host.failed_active_health_check || host.failed_outlier_check ||
                            host.failed_eds_health || host.pending_dynamic_removal;
  const bool is_degraded = host.degraded || host.eds_degraded;
  out.key("health_status")
      .string(is_unhealthy  ? "UNHEALTHY"
              : is_degraded ? "DEGRADED"
                            : "HEALTHY");
  out.key("load_balancing_weight").number(host.weight);
  out.end();
}

void open_group(config::TreeBuilder& out, const HostStatus& first) {
  out.begin_mapping();
  out.key("locality").begin_mapping();
  const auto text = [&out](std::string_view key, const std::string& value) {
    if (!value.empty()) out.key(key).string(value);
  };
  text("region", first.region);
  text("zone", first.zone);
  text("sub_zone", first.sub_zone);
  out.end();
  if (first.priority != 0) out.key("priority").number(first.priority);
  out.key("lb_endpoints").begin_sequence();
}

}  // namespace

std::shared_ptr<const config::Document> assignment_of(const ClusterStatus& cluster) {
  const auto group_of = [](const HostStatus* host) {
    return std::tie(host->priority, host->region, host->zone, host->sub_zone);
  };
  std::vector<const HostStatus*> hosts;
  for (const HostStatus& host : cluster.hosts) hosts.push_back(&host);
  std::ranges::stable_sort(hosts, std::ranges::less(), group_of);

  config::TreeBuilder out("endpoints");
  out.begin_mapping();
  out.key("cluster_name")
      .string(cluster.eds_service_name.empty() ? cluster.name : cluster.eds_service_name);
  if (!hosts.empty()) {
    out.key("endpoints").begin_sequence();
    for (size_t i = 0; i < hosts.size();) {
      const HostStatus* first = hosts[i];
      open_group(out, *first);
      for (; i < hosts.size() && group_of(hosts[i]) == group_of(first); ++i)
        add_endpoint(out, *hosts[i]);
      out.end();
      out.end();
    }
    out.end();
  }
  out.end();
  return out.finish();
}

}  // namespace pillion::admin
