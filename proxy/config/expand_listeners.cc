// Listeners and routes of the expanded configuration.
#include <chrono>
#include <optional>
#include <set>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/config/expand_parts.h"

namespace pillion::config {
namespace {

using std::chrono::seconds;

constexpr std::string_view kManager =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
constexpr std::string_view kTcpProxy = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
constexpr std::string_view kRouter = "envoy.extensions.filters.http.router.v3.Router";
constexpr std::string_view kPrincipalStats =
    "pillion.filters.http.principal_stats.v1.PrincipalStats";
constexpr std::string_view kFileLog = "envoy.extensions.access_loggers.file.v3.FileAccessLog";

constexpr std::pair<std::string_view, std::string_view> kJsonLog[] = {
    {"start_time", "%START_TIME%"},
    {"method", "%REQ(:METHOD)%"},
    {"authority", "%REQ(:AUTHORITY)%"},
    {"path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"},
    {"protocol", "%PROTOCOL%"},
    {"response_code", "%RESPONSE_CODE%"},
    {"response_flags", "%RESPONSE_FLAGS%"},
    {"response_code_details", "%RESPONSE_CODE_DETAILS%"},
    {"bytes_received", "%BYTES_RECEIVED%"},
    {"bytes_sent", "%BYTES_SENT%"},
    {"duration", "%DURATION%"},
    {"upstream_cluster", "%UPSTREAM_CLUSTER%"},
    {"upstream_host", "%UPSTREAM_HOST%"},
    {"downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"},
    {"downstream_peer", "%DOWNSTREAM_PEER_URI_SAN%"},
    {"downstream_tls_version", "%DOWNSTREAM_TLS_VERSION%"},
    {"request_id", "%REQ(X-REQUEST-ID)%"},
    {"user_agent", "%REQ(USER-AGENT)%"}};

void write_access_log(EnvoyWriter& out, const Mesh& mesh) {
  if (!mesh.access_log) return;
  out.standing_for(mesh.access_log->node, [&] {
    out.list("access_log", [&] {
      out.item([&] {
        out.extension("envoy.access_loggers.file", kFileLog, [&] {
          out.text("path", mesh.access_log->path);
          if (!mesh.access_log->is_json) return;
          out.message("log_format", [&] {
            out.message("json_format", [&] {
              for (const auto& [name, format] : kJsonLog) out.text(name, format);
            });
          });
        });
      });
    });
  });
}

// Does "/admin;x" match what "/admin" matches?
enum class Parameters : uint8_t { kMatched, kIgnored };

// An HTTP connection manager as the only filter; `extras`, `hosts` and `filters` write its own
// fields, its virtual hosts, and what comes before the router.
template <typename Extras, typename Hosts, typename Filters>
void write_manager(EnvoyWriter& out, std::string_view stat_prefix, Parameters parameters,
                   Extras&& extras, Hosts&& hosts, Filters&& filters) {
  out.list("filters", [&] {
    out.item([&] {
      out.extension("envoy.filters.network.http_connection_manager", kManager, [&] {
        out.text("stat_prefix", stat_prefix);
        out.flag("normalize_path", true);
        out.flag("strip_trailing_host_dot", true);
        // Old clients and health checkers; Envoy answers them with 426.
        out.message("http_protocol_options", [&] { out.flag("accept_http_10", true); });
        out.word("server_header_transformation", "PASS_THROUGH");
        extras();
        out.message("route_config", [&] {
          out.text("name", stat_prefix);
          out.flag("ignore_port_in_host_matching", true);
          if (parameters == Parameters::kIgnored)
            out.flag("ignore_path_parameters_in_path_matching", true);
          out.list("virtual_hosts", hosts);
        });
        out.list("http_filters", [&] {
          filters();
          out.item([&] { out.extension("envoy.filters.http.router", kRouter, [] {}); });
        });
      });
    });
  });
}

template <typename Extras, typename Hosts>
void write_manager(EnvoyWriter& out, std::string_view stat_prefix, Extras&& extras, Hosts&& hosts) {
  write_manager(out, stat_prefix, Parameters::kMatched, extras, hosts, [] {});
}

// Not "/": the path of a request to the server as a whole, OPTIONS *, is "*" (RFC 9110, 9.3.7).
void write_match_all(EnvoyWriter& out) {
  out.message("match", [&] { out.text("prefix", ""); });
}

void write_match_grpc(EnvoyWriter& out) {
  out.message("match", [&] {
    out.text("prefix", "");
    out.message("grpc", [] {});
  });
}

// WebSocket in both protocols; in HTTP/2 it is an extended CONNECT (RFC 8441).
void write_upgrades(EnvoyWriter& out) {
  out.message("http2_protocol_options", [&] { out.flag("allow_connect", true); });
  out.list("upgrade_configs", [&] { out.item([&] { out.text("upgrade_type", "websocket"); }); });
}

// `routes` of one virtual host with the given domains.
template <typename Routes>
void write_virtual_host(EnvoyWriter& out, std::string_view name, Routes&& routes) {
  out.item([&] {
    out.text("name", name);
    out.list("domains", [&] { out.item_text("*"); });
    out.list("routes", routes);
  });
}

// --- Outbound ----------------------------------------------------------------------------------

void write_retries(EnvoyWriter& out, const Retries& retries) {
  const bool has_retries = retries.attempts != 0 && !retries.on.empty();
  const bool has_limit = retries.per_try != std::chrono::nanoseconds{};
  if (!has_retries && !has_limit) return;
  out.standing_for(retries.node, [&] {
    out.message("retry_policy", [&] {
      if (has_limit) out.duration("per_try_timeout", retries.per_try);
      if (!has_retries) return;
      out.text("retry_on", retries.on);
      out.number("num_retries", retries.attempts);
      if (!retries.statuses.empty()) {
        out.list("retriable_status_codes", [&] {
          for (const uint32_t status : retries.statuses) out.item_number(status);
        });
      }
    });
  });
}

void write_service_host(EnvoyWriter& out, const Service& service) {
  out.item([&] {
    out.text("name", service.name);
    out.standing_for(service.hosts_node, [&] {
      out.list("domains", [&] {
        for (const auto& host : service.hosts) out.item_text(host.value);
      });
    });
    out.list("routes", [&] {
      out.item([&] {
        write_match_all(out);
        out.message("route", [&] {
          out.text("cluster", service.name);
          out.duration("timeout", service.timeout);
          write_retries(out, service.retries);
        });
      });
    });
  });
}

void write_unknown_host(EnvoyWriter& out, const Outbound& outbound) {
  write_virtual_host(out, "unknown", [&] {
    out.item([&] {
      write_match_all(out);
      if (outbound.unknown == UnknownHosts::kPassthrough) {
        out.message("route", [&] {
          out.text("cluster", kOutboundPassthrough);
          out.duration("timeout", seconds(0));
        });
        return;
      }
      out.message("direct_response", [&] {
        out.number("status", 502);
        out.message("body",
                    [&] { out.text("inline_string", "no service of this name in the mesh\n"); });
      });
    });
  });
}

void write_outbound_chain(EnvoyWriter& out, const Mesh& mesh, const uint16_t* port) {
  out.item([&] {
    out.text("name", port == nullptr ? std::string("http") : str("http-", *port));
    if (port != nullptr) {
      out.message("filter_chain_match", [&] { out.number("destination_port", *port); });
    }
    auto extras = [&] {
      write_upgrades(out);
      write_tracing(out, mesh);
      write_access_log(out, mesh);
    };
    write_manager(out, "outbound", extras, [&] {
      for (const Service& service : mesh.services) {
        out.standing_for(service.node, [&] { write_service_host(out, service); });
      }
      write_unknown_host(out, *mesh.outbound);
    });
  });
}

std::set<uint16_t> http_ports(const Mesh& mesh) {
  std::set<uint16_t> ports{80};
  for (const Service& service : mesh.services) {
    for (const Endpoint& endpoint : service.endpoints) {
      if (endpoint.address.port != 0) ports.insert(endpoint.address.port);
    }
  }
  return ports;
}

// --- Metrics -----------------------------------------------------------------------------------

void write_admin_route(EnvoyWriter& out, std::string_view path, std::string_view rewrite) {
  out.item([&] {
    out.message("match", [&] { out.text("path", path); });
    out.message("route", [&] {
      out.text("cluster", kAdminCluster);
      if (!rewrite.empty()) out.text("prefix_rewrite", rewrite);
    });
  });
}

std::string_view slashes_word(SlashEscapes escapes) {
  switch (escapes) {
    case SlashEscapes::kReject:
      return "REJECT_REQUEST";
    case SlashEscapes::kKeep:
      return "KEEP_UNCHANGED";
    case SlashEscapes::kDecode:
      break;
  }
  return "UNESCAPE_AND_FORWARD";
}

}  // namespace

void write_tcp(EnvoyWriter& out, const Mesh& mesh, std::string_view stat_prefix,
               std::string_view cluster) {
  out.item([&] {
    out.extension("envoy.filters.network.tcp_proxy", kTcpProxy, [&] {
      out.text("stat_prefix", stat_prefix);
      out.text("cluster", cluster);
      write_access_log(out, mesh);
    });
  });
}

void write_app_manager(EnvoyWriter& out, const Mesh& mesh, Peers peers) {
  auto extras = [&] {
    out.flag("merge_slashes", true);
    out.word("path_with_escaped_slashes_action", slashes_word(mesh.inbound->escaped_slashes));
    out.message("common_http_protocol_options",
                [&] { out.word("headers_with_underscores_action", "DROP_HEADER"); });
    if (peers == Peers::kMutualTls) {
      out.word("forward_client_cert_details", "SANITIZE_SET");
      out.message("set_current_client_cert_details", [&] { out.flag("uri", true); });
    }
    write_upgrades(out);
    write_tracing(out, mesh);
    write_access_log(out, mesh);
  };
  const auto to = [&](std::string_view cluster) {
    out.message("route", [&] {
      out.text("cluster", cluster);
      out.duration("timeout", seconds(0));
    });
  };
  const std::string_view name = peers == Peers::kPlainTwin ? "inbound_plain" : "inbound";
  write_manager(
      out, name, Parameters::kIgnored, extras,
      [&] {
        write_virtual_host(out, "app", [&] {
          if (mesh.inbound->protocol == ServiceProtocol::kAuto) {
            out.item([&] {
              write_match_grpc(out);
              to(kAppGrpcCluster);
            });
          }
          out.item([&] {
            write_match_all(out);
            to(kAppCluster);
          });
        });
      },
      [&] {
        write_authorize_http(out, mesh);
        if (!mesh.counts_principals) return;
        out.item(
            [&] { out.extension("pillion.filters.http.principal_stats", kPrincipalStats, [] {}); });
      });
}

void write_outbound_listener(EnvoyWriter& out, const Mesh& mesh) {
  const Outbound& outbound = *mesh.outbound;
  const bool is_captured = outbound.capture == Capture::kRedirect;
  out.standing_for(outbound.node, [&] {
    out.item([&] {
      out.text("name", "outbound");
      out.standing_for(outbound.listen_node,
                       [&] { write_addresses(out, outbound.listen, outbound.listen_twin); });
      out.word("traffic_direction", "OUTBOUND");
      if (is_captured) {
        out.list("listener_filters", [&] { write_original_dst(out); });
      }
      out.list("filter_chains", [&] {
        if (!is_captured) return write_outbound_chain(out, mesh, nullptr);
        for (const uint16_t port : http_ports(mesh)) write_outbound_chain(out, mesh, &port);
      });
      if (!is_captured || outbound.unknown == UnknownHosts::kReject) return;
      out.message("default_filter_chain", [&] {
        out.text("name", "other-ports");
        out.list("filters", [&] { write_tcp(out, mesh, "outbound_tcp", kOutboundPassthrough); });
      });
    });
  });
}

void write_metrics_listener(EnvoyWriter& out, const Mesh& mesh) {
  out.standing_for(mesh.metrics_node, [&] {
    out.item([&] {
      out.text("name", "metrics");
      out.address("address", *mesh.metrics);
      out.list("filter_chains", [&] {
        out.item([&] {
          write_manager(
              out, "metrics", [] {},
              [&] {
                write_virtual_host(out, "admin", [&] {
                  write_admin_route(out, "/stats/prometheus", {});
                  write_admin_route(out, "/metrics", "/stats/prometheus");
                  write_admin_route(out, "/ready", {});
                });
              });
        });
      });
    });
  });
}

}  // namespace pillion::config
