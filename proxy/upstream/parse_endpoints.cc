// load_assignment (config.endpoint.v3.ClusterLoadAssignment).
#include <set>
#include <string>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "proxy/io/parse_address.h"
#include "proxy/upstream/parse.h"
#include "proxy/upstream/parse_parts.h"

namespace pillion::upstream {
namespace {

using config::EnumRow;
using config::Node;
using config::Unknown;

constexpr EnumRow kHealth[] = {
    {"UNKNOWN", static_cast<int>(HealthStatus::kUnknown)},
    {"HEALTHY", static_cast<int>(HealthStatus::kHealthy)},
    {"UNHEALTHY", static_cast<int>(HealthStatus::kUnhealthy)},
    {"DRAINING", static_cast<int>(HealthStatus::kDraining)},
    {"TIMEOUT", static_cast<int>(HealthStatus::kTimeout)},
    {"DEGRADED", static_cast<int>(HealthStatus::kDegraded)},
};

SharedValue<Locality> parse_locality(const Node& node) {
  if (node.is_missing()) return nullptr;
  Locality locality;
  locality.region = node["region"].as_string_or("");
  locality.zone = node["zone"].as_string_or("");
  locality.sub_zone = node["sub_zone"].as_string_or("");
  node.reject_unknown_keys();
  return SharedValue<Locality>(std::move(locality));
}

SharedValue<CheckTarget> parse_check_target(const Node& node) {
  if (node.is_missing()) return nullptr;
  CheckTarget target;
  target.port = static_cast<uint16_t>(node["port_value"].as_u32_or(0, 0, UINT16_MAX));
  target.hostname = node["hostname"].as_string_or("");
  target.is_disabled = node["disable_active_health_check"].as_bool_or(false);
  // Checks would go to where the application is, and not to what judges it.
  node.unsupported({"address"}, kLater, Unknown::kAlwaysError);
  node.reject_unknown_keys();
  return SharedValue<CheckTarget>(std::move(target));
}

class EndpointParser {
 public:
  explicit EndpointParser(ClusterConfig& out) : out_(out) {}

  // Returns those that are known by address.
  Endpoints parse(const Node& node) {
    (void)node["cluster_name"].as_string_or("");
    const Node groups = node["endpoints"];
    for (const Node group : groups.items()) parse_group(group);
    if (out_.type == DiscoveryType::kLogicalDns && (groups.size() != 1 || endpoints_ != 1)) {
      (groups ? groups : node).error("clusters of type LOGICAL_DNS need exactly one endpoint");
    }
    if (const Node policy = node["policy"]) {
      out_.balancer.overprovisioning =
          policy["overprovisioning_factor"].as_u32_or(out_.balancer.overprovisioning, 1);
      refuse_true(policy, "weighted_priority_health");
      policy.ignore({"endpoint_stale_after"});  // of endpoints that EDS brought
      // An operator's brake: what it should drop would be served.
      policy.unsupported({"drop_overloads"}, kLater, Unknown::kAlwaysError);
      policy.reject_unknown_keys();
    }
    node.unsupported({"named_endpoints"}, kLater, Unknown::kAlwaysError);
    node.reject_unknown_keys();
    return std::move(hosts_);
  }

 private:
  void parse_group(const Node& node) {
    Endpoint like;
    like.locality = parse_locality(node["locality"]);
    like.priority = static_cast<uint8_t>(node["priority"].as_u32_or(0, 0, kMaxPriority));
    const LabelSet of_locality = parse_metadata(node["metadata"]);
    for (const Node item : node["lb_endpoints"].items()) parse_item(item, like, of_locality);
    // Weights and distances of localities count only for balancing that is refused above.
    node.ignore({"load_balancing_weight", "proximity"});
    // Endpoints in another form: without them the cluster would be emptied.
    node.unsupported({"load_balancer_endpoints", "leds_cluster_locality_config"}, kLater,
                     Unknown::kAlwaysError);
    node.reject_unknown_keys();
  }

  // Of config.core.v3.Metadata what concerns us.
  LabelSet parse_metadata(const Node& node) {
    LabelSet labels;
    for (const auto& [name, value] : node["filter_metadata"].entries()) {
      if (name == kTransportLabels) {
        labels = parse_labels(value);
      } else if (name != kSubsetLabels && left_out_.insert(std::string(name)).second) {
        // Told once: endpoints are many, and say the same.
        const std::string shown = config::printable(name);
        value.leave_out(str("filter_metadata[", shown, "]"),
                        str("metadata for \"", shown, "\" has no effect here"));
      }
    }
    node.unsupported({"typed_filter_metadata"}, kLater);
    node.reject_unknown_keys();
    return labels;
  }

  void parse_item(const Node& node, Endpoint host, const LabelSet& of_locality) {
    ++endpoints_;
    host.health = node["health_status"].as_enum_or(host.health, kHealth);
    host.weight = node["load_balancing_weight"].as_u32_or(1, 1);
    host.transport = make_transport_labels(parse_metadata(node["metadata"]), of_locality);
    node.unsupported({"endpoint_name"}, kLater, Unknown::kAlwaysError);
    const Node endpoint = node.has("endpoint_name") ? node["endpoint"] : node.required("endpoint");
    node.reject_unknown_keys();
    if (endpoint.is_missing()) return;
    host.hostname = endpoint["hostname"].as_string_or("");
    host.check = parse_check_target(endpoint["health_check_config"]);
    endpoint.unsupported({"additional_addresses", "observability_name"}, kLater);
    const Node address = endpoint.required("address");
    endpoint.reject_unknown_keys();
    if (address) add(address, std::move(host));
  }

  void add(const Node& address, Endpoint host) {
    const io::EndpointAddress where = io::parse_endpoint_address(address);
    const bool is_name = where.ip.kind() == io::Address::Kind::kNone;
    if (is_name && where.name.empty()) return;  // reported
    const bool resolves =
        out_.type == DiscoveryType::kStrictDns || out_.type == DiscoveryType::kLogicalDns;
    if (resolves) {
      if (where.ip.kind() == io::Address::Kind::kUnix) {
        return address.error("clusters that ask DNS have names or IP addresses, no Unix path");
      }
      std::string name = is_name ? where.name : where.ip.ip_string();
      // Envoy's host name of a resolved endpoint: what was asked for, unless it says otherwise.
      if (host.hostname.empty()) host.hostname = name;
      out_.dns_targets.push_back({std::move(name), where.port, std::move(host)});
    } else if (is_name) {
      address["socket_address"]["address"].expected("an IP address",
                                                    "names need type STRICT_DNS or LOGICAL_DNS");
    } else {
      host.address = where.ip;
      hosts_.push_back(std::move(host));
    }
  }

  ClusterConfig& out_;
  Endpoints hosts_;
  size_t endpoints_ = 0;
  std::set<std::string> left_out_;  // namespaces of metadata
};

}  // namespace

void parse_endpoints(const Node& cluster, ClusterConfig& out) {
  const Node node = cluster["load_assignment"];
  const bool is_original = out.type == DiscoveryType::kOriginalDst;
  if (is_original && node)
    node.error("clusters of type ORIGINAL_DST have no endpoints of their own");
  const bool is_eds = out.type == DiscoveryType::kEds;
  if (is_eds && node) node.error("clusters of type EDS get their endpoints from EDS");
  if (!is_original && !is_eds && out.type != DiscoveryType::kStatic)
    (void)cluster.required("load_assignment");
  if (node) out.static_hosts = *make_host_set(EndpointParser(out).parse(node), nullptr);
}

Endpoints parse_assignment(const Node& node) {
  ClusterConfig cluster;
  const uint32_t usual = cluster.balancer.overprovisioning;
  Endpoints endpoints = EndpointParser(cluster).parse(node);
  if (cluster.balancer.overprovisioning != usual)
    node["policy"]["overprovisioning_factor"].error(
        str("other than ", usual, " comes with a later version"));
  return endpoints;
}

}  // namespace pillion::upstream
