#pragma once
// Resources of a control plane as JSON, for tests that encode them (xds::encode), or put them into
// a file, of which YAML is a superset.

#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/str.h"

namespace pillion::testing {

// The message as an Any of that type, "envoy.config.cluster.v3.Cluster".
inline std::string any_json(std::string_view type, std::string_view message) {
  const bool is_empty = message == "{}";
  return str(R"({"@type":"type.googleapis.com/)", type, is_empty ? "\"" : "\",", message.substr(1));
}
inline std::string resource_json(std::string_view name, std::string_view fields) {
  return str(R"({"name":")", name, R"(",)", fields, "}");
}

// ---- clusters ----

// With one host, 10.0.0.1.
inline std::string static_cluster_json(std::string_view name, int port = 9) {
  return resource_json(
      name, str(R"("type":"STATIC","load_assignment":{"cluster_name":")", name,
                R"(","endpoints":[{"lb_endpoints":[{"endpoint":{"address":{"socket_address":{)",
                R"("address":"10.0.0.1","port_value":)", port, "}}}}]}]}"));
}
// `more`: further fields, with a comma before them; `timeout`: initial_fetch_timeout.
inline std::string eds_cluster_json(std::string_view name, std::string_view more = "",
                                    std::string_view timeout = "15s") {
  return resource_json(name, str(R"("type":"EDS","eds_cluster_config":{"eds_config":{"ads":{},)",
                                 R"("initial_fetch_timeout":")", timeout, R"("}})", more));
}
// Of hosts 10.0.0.BYTE, port 80.
inline std::string assignment_json(std::string_view name, const std::vector<int>& last_bytes) {
  std::string endpoints;
  for (const int byte : last_bytes)
    endpoints += str(endpoints.empty() ? "" : ",", R"({"endpoint":{"address":{"socket_address":{)",
                     R"("address":"10.0.0.)", byte, R"(","port_value":80}}}})");
  return str(R"({"cluster_name":")", name, R"(","endpoints":[{"lb_endpoints":[)", endpoints,
             "]}]}");
}

// ---- listeners ----

// What stands in a listener beside its connection manager and the router.
struct ListenerParts {
  std::string_view fields = {};        // of the listener
  std::string_view guards = {};        // network filters before the manager; each
  std::string_view http_filters = {};  // ends in a comma, as these do
  std::string_view stat_prefix = "in";
};
// `routes`: the manager's route_config, rds or scoped_routes, with its name.
inline std::string listener_json(std::string_view name, int port, std::string_view routes,
                                 const ListenerParts& parts = {}) {
  return resource_json(
      name,
      str(parts.fields, R"("address":{"socket_address":{"address":"127.0.0.1","port_value":)", port,
          R"(}},"filter_chains":[{"filters":[)", parts.guards,
          R"({"name":"hcm","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.)",
          R"(network.http_connection_manager.v3.HttpConnectionManager","stat_prefix":")",
          parts.stat_prefix, R"(",)", routes, R"(,"http_filters":[)", parts.http_filters,
          R"({"name":"router","typed_config":{"@type":"type.googleapis.com/envoy.extensions.)",
          R"(filters.http.router.v3.Router"}}]}}]}])"));
}
// `source`: a ConfigSource.
inline std::string by_rds(std::string_view table, std::string_view source = R"({"ads":{}})") {
  return str(R"("rds":{"route_config_name":")", table, R"(","config_source":)", source, "}");
}

// ---- routes ----

// All requests of the domain go to the cluster.
inline std::string virtual_host_json(std::string_view name, std::string_view domain,
                                     std::string_view cluster) {
  return resource_json(name, str(R"("domains":[")", domain,
                                 R"("],"routes":[{"match":{"prefix":"/"},"route":{"cluster":")",
                                 cluster, R"("}}])"));
}
// `more`: further fields, with a comma behind them.
inline std::string routes_json(std::string_view name, std::string_view cluster,
                               std::string_view more = {}) {
  return resource_json(
      name, str(more, R"("virtual_hosts":[)", virtual_host_json("all", "*", cluster), "]"));
}
inline std::string scope_json(std::string_view name, std::string_view key, std::string_view table,
                              bool on_demand = false) {
  return resource_json(name, str(R"("route_configuration_name":")", table, R"(","on_demand":)",
                                 on_demand ? "true" : "false",
                                 R"(,"key":{"fragments":[{"string_key":")", key, R"("}]})"));
}
// The header x-scope is the key; `scopes`: where they come from, or the list itself.
inline std::string by_srds(
    std::string_view scopes = R"("scoped_rds":{"scoped_rds_config_source":{"ads":{}}})",
    std::string_view tables_from = R"({"ads":{}})") {
  return str(R"("scoped_routes":{"name":"scopes","scope_key_builder":{"fragments":[)",
             R"({"header_value_extractor":{"name":"x-scope","index":0}}]},"rds_config_source":)",
             tables_from, ",", scopes, "}");
}

}  // namespace pillion::testing
