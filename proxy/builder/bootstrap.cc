#include "proxy/builder/bootstrap.h"

#include <utility>

#include "proxy/builder/bootstrap_cluster_manager.h"
#include "proxy/builder/bootstrap_dynamic.h"
#include "proxy/builder/runtime_layers.h"
#include "proxy/config/value_hash.h"
#include "proxy/io/parse_address.h"
#include "proxy/tls/secret.h"

namespace pillion {
namespace {

using config::Node;

constexpr std::string_view kLater = "comes with a later version";

// stats_matcher: names that no matcher of an inclusion list takes, or that one of an exclusion list
// takes, are not shown.
class ListFilter final : public stats::NameFilter {
 public:
  ListFilter(std::vector<match::StringMatcher> patterns, bool includes)
      : patterns_(std::move(patterns)), includes_(includes) {}
  [[nodiscard]] bool matches(std::string_view name) const override {
    for (const match::StringMatcher& pattern : patterns_) {
      if (pattern.matches(name)) return includes_;
    }
    return !includes_;
  }

 private:
  std::vector<match::StringMatcher> patterns_;
  bool includes_;
};

std::vector<match::StringMatcher> parse_patterns(const Node& list) {
  std::vector<match::StringMatcher> patterns;
  const Node items = list["patterns"];
  for (const Node item : items.items()) patterns.push_back(match::parse_string_matcher(item));
  if (patterns.empty()) items.expected("at least one pattern");
  list.reject_unknown_keys();
  return patterns;
}

std::shared_ptr<const stats::NameFilter> parse_stats_matcher(const Node& node) {
  const Node kind = node.one_of({"reject_all", "exclusion_list", "inclusion_list"});
  std::shared_ptr<const stats::NameFilter> filter;
  if (node.has("reject_all")) {
    if (kind.as_bool())
      filter = std::make_shared<ListFilter>(std::vector<match::StringMatcher>{}, true);
  } else if (kind.is_present()) {
    filter = std::make_shared<ListFilter>(parse_patterns(kind), node.has("inclusion_list"));
  }
  node.reject_unknown_keys();
  return filter;
}

stats::ExpositionOptions parse_stats_config(const Node& node) {
  stats::ExpositionOptions out;
  if (node.is_missing()) return out;
  const Node tags = node["stats_tags"];
  for (const Node tag : tags.items()) {
    stats::Tag fixed{tag["tag_name"].as_string(), {}};
    tag.unsupported({"regex"},
                    "only fixed_value tags are there: the usual labels come of themselves");
    fixed.value = tag.required("fixed_value").as_string_or("");
    tag.reject_unknown_keys();
    out.fixed_tags.push_back(std::move(fixed));
  }
  // Names are kept in parts, so the default tags cost nothing and cannot be switched off.
  if (!node["use_all_default_tags"].as_bool_or(true))
    node["use_all_default_tags"].error("false is not supported");
  const Node matcher = node["stats_matcher"];
  if (matcher.is_present()) out.matcher = parse_stats_matcher(matcher);
  node.unsupported({"histogram_bucket_settings"}, kLater);
  node.reject_unknown_keys();
  return out;
}

void parse_admin(BootstrapConfig& out, const Node& node) {
  if (node.is_missing()) return;
  out.admin_hash = config::hash_value(node);
  const Node address = node["address"];
  uint32_t mode = 0;
  if (address.is_present()) out.admin = io::parse_address(address, &mode);
  if (mode != 0)
    address["pipe"]["mode"].error("is not supported here: put the socket into a folder of its own");
  const Node allowed = node["allow_paths"];
  for (const Node item : allowed.items())
    out.admin_allowed.push_back(match::parse_string_matcher(item));
  // /cpuprofiler is not there; the admin interface has connection limits of its own.
  node.ignore({"profile_path", "ignore_global_conn_limit"});
  node.unsupported({"access_log", "access_log_path", "socket_options"}, kLater);
  node.reject_unknown_keys();
}

void parse_node(BootstrapConfig& out, const Node& node, const Options& options) {
  out.node_id = options.service_node;
  out.node_cluster = options.service_cluster;
  out.node_zone = options.service_zone;
  if (node.is_missing()) return;
  out.node = node.value();
  out.node_hash = config::hash_value(node);
  // Read in any case: a flag goes over the file, which stays to be checked.
  const std::string id = node["id"].as_string_or("");
  const std::string cluster = node["cluster"].as_string_or("");
  if (out.node_id.empty()) out.node_id = id;
  if (out.node_cluster.empty()) out.node_cluster = cluster;
  const Node locality = node["locality"];
  if (locality.is_present()) {
    const std::string zone = locality["zone"].as_string_or("");
    if (out.node_zone.empty()) out.node_zone = zone;
    locality.ignore({"region", "sub_zone"});  // told in /server_info
    locality.reject_unknown_keys();
  }
  // Told in /server_info as they are, and of no other effect before xDS.
  node.ignore({"metadata", "dynamic_parameters", "user_agent_name", "user_agent_version",
               "user_agent_build_version", "extensions", "client_features", "listening_addresses"});
  node.reject_unknown_keys();
}

void parse_overload(BootstrapConfig& out, const Node& node) {
  if (node.is_missing()) return;
  for (const Node monitor : node["resource_monitors"].items()) {
    static_cast<void>(monitor["name"].as_view_or());
    const config::TypedConfig typed = monitor["typed_config"].typed_config();
    if (typed.type !=
        "envoy.extensions.resource_monitors.downstream_connections.v3."
        "DownstreamConnectionsConfig") {
      if (!typed.type.empty()) typed.node.error("this resource monitor " + std::string(kLater));
      continue;
    }
    out.max_downstream_connections = typed.node["max_active_downstream_connections"].as_u64(1);
    typed.node.reject_unknown_keys();
    monitor.reject_unknown_keys();
  }
  node.ignore({"refresh_interval"});
  node.unsupported({"actions", "loadshed_points", "buffer_factory_config"}, kLater);
  node.reject_unknown_keys();
}

}  // namespace

BootstrapConfig parse_bootstrap(const Node& root, const Options& options) {
  BootstrapConfig out;
  parse_node(out, root["node"], options);
  parse_admin(out, root["admin"]);
  out.stats = parse_stats_config(root["stats_config"]);
  out.runtime_layers =
      parse_runtime_layers(root["layered_runtime"], root["dynamic_resources"].has("ads_config"));
  parse_overload(out, root["overload_manager"]);
  out.overload_manager_hash = config::hash_value(root["overload_manager"]);
  out.stats_config_hash = config::hash_value(root["stats_config"]);
  // Nothing is flushed: metrics are read when somebody asks.  Watchdogs guard threads that Envoy's
  // filters may block; ours may not.
  root.ignore({"stats_flush_interval", "stats_flush_on_admin", "watchdog", "watchdogs",
               "flags_path", "default_socket_interface"});
  out.watches_turns = root["enable_dispatcher_stats"].as_bool_or(false);
  if (root["header_prefix"].as_string_or("x-envoy") != "x-envoy") {
    root["header_prefix"].error("only x-envoy is supported");
  }
  parse_dynamic_resources(out, root);
  parse_cluster_manager(out, root["cluster_manager"]);
  // What they are is read where they are named; here, what is wrong with them.
  for (const auto& [name, node] : root["certificate_provider_instances"].entries())
    (void)tls::parse_provider(node);
  root.unsupported({"hds_config",
                    "stats_sinks",
                    "tracing",
                    "runtime",
                    "bootstrap_extensions",
                    "fatal_actions",
                    "config_sources",
                    "default_config_source",
                    "inline_headers",
                    "perf_tracing_file_path",
                    "default_regex_engine",
                    "xds_delegate_extension",
                    "xds_config_tracker_extension",
                    "listener_manager",
                    "application_log_config",
                    "grpc_async_client_manager_config",
                    "memory_allocator_manager",
                    "use_tcp_for_dns_lookups",
                    "dns_resolution_config",
                    "typed_dns_resolver_config",
                    "deferred_stat_options"},
                   kLater);
  root.reject_unknown_keys();
  return out;
}

}  // namespace pillion
