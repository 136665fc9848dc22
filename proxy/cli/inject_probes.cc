#include <algorithm>
#include <set>

#include "proxy/base/str.h"
#include "proxy/cli/inject_parts.h"
#include "proxy/config/yaml_print.h"

namespace pillion::cli {
namespace {

using config::EnvoyWriter;
using config::Node;

// The number of a port that may be given by name; 0 after an error.
uint16_t resolve_port(const Node& port, const Node& container) {
  const std::string_view text = port.raw();
  if (text.find_first_not_of("0123456789") == text.npos && !text.empty()) {
    return static_cast<uint16_t>(port.as_u32(1, 65535));
  }
  for (const Node each : container["ports"].items()) {
    if (each["name"].raw() == text) return static_cast<uint16_t>(each["containerPort"].as_u32());
  }
  port.error(str("there is no port \"", text, "\" in this container"));
  return 0;
}

// A probe or hook: httpGet, tcpSocket, grpc, exec or sleep.
class Handler {
 public:
  Handler(const Node& handler, const Node& container) : handler_(handler), container_(container) {}

  void redirect(config::Rewrite& rewrite, std::set<Probe>& probes) const {
    if (handler_["grpc"].is_present()) {
      handler_["grpc"].error(
          "the kubelet calls without a certificate of the mesh and would be turned away: use "
          "httpGet, which the sidecar passes on, or exec");
    }
    if (handler_["tcpSocket"].is_present()) {
      handler_["tcpSocket"].warn(
          "reaches the sidecar, not the app, and so always succeeds: use httpGet, which the "
          "sidecar "
          "passes on, or exec");
    }
    // One for another host is none of our business.
    if (const Node get = handler_["httpGet"]; get.is_mapping() && get["host"].is_missing()) {
      redirect_get(get, rewrite, probes);
    }
  }

 private:
  void redirect_get(const Node& get, config::Rewrite& rewrite, std::set<Probe>& probes) const {
    if (get["scheme"].raw() == "HTTPS") {
      return get["scheme"].error("the sidecar passes on probes by HTTP only: use HTTP or exec");
    }
    const Node port = get.required("port"), path = get["path"];
    const std::string_view whole = path.is_missing() ? "/" : path.raw();
    const std::string_view before_query = whole.substr(0, whole.find('?'));
    Probe probe{port.is_present() ? resolve_port(port, container_) : uint16_t{0},
                std::string(before_query)};
    if (!probe.path.starts_with('/')) probe.path.insert(0, "/");
    if (probe.port == 0) return;
    const std::string new_path = str(probe.new_path(), whole.substr(before_query.size()));
    if (path.is_present()) {
      rewrite.scalar(*path.value(), new_path);
    } else {
      rewrite.last(*get.value(), [new_path](EnvoyWriter& out) { out.text("path", new_path); });
    }
    rewrite.scalar(*port.value(), uint64_t{kProbesPort});
    probes.insert(std::move(probe));
  }

  Node handler_, container_;
};

constexpr std::string_view kManager =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
constexpr std::string_view kRouter = "envoy.extensions.filters.http.router.v3.Router";

config::AddressText address(std::string_view host, uint16_t port) {
  return {config::AddressText::Kind::kIp, std::string(host), port};
}

std::string cluster_name(uint16_t port) { return str("probe-", port); }

void write_route(EnvoyWriter& out, const Probe& probe) {
  out.item([&] {
    out.message("match", [&] { out.text("path", probe.new_path()); });
    out.message("route", [&] {
      out.text("cluster", cluster_name(probe.port));
      out.text("prefix_rewrite", probe.path);
      out.text("timeout", "0s");  // the kubelet has its own
    });
  });
}

void write_listener(EnvoyWriter& out, const std::vector<Probe>& probes) {
  out.text("name", "probes");
  out.address("address", address("0.0.0.0", kProbesPort));
  // Pods may have an address of IPv6 alone.
  out.list("additional_addresses",
           [&] { out.item([&] { out.address("address", address("::", kProbesPort)); }); });
  out.list("filter_chains", [&] {
    out.item([&] {
      out.list("filters", [&] {
        out.item([&] {
          out.extension("envoy.filters.network.http_connection_manager", kManager, [&] {
            out.text("stat_prefix", "probes");
            out.message("route_config", [&] {
              out.list("virtual_hosts", [&] {
                out.item([&] {
                  out.text("name", "probes");
                  out.list("domains", [&] { out.item_text("*"); });
                  out.list("routes", [&] {
                    for (const Probe& probe : probes) write_route(out, probe);
                  });
                });
              });
            });
            out.list("http_filters", [&] {
              out.item([&] { out.extension("envoy.filters.http.router", kRouter, [] {}); });
            });
          });
        });
      });
    });
  });
}

void write_cluster(EnvoyWriter& out, uint16_t port) {
  out.text("name", cluster_name(port));
  out.text("connect_timeout", "1s");
  out.message("load_assignment", [&] {
    out.text("cluster_name", cluster_name(port));
    out.list("endpoints", [&] {
      out.item([&] {
        out.list("lb_endpoints", [&] {
          out.item([&] {
            out.message("endpoint", [&] { out.address("address", address("127.0.0.1", port)); });
          });
        });
      });
    });
  });
}

}  // namespace

std::string Probe::new_path() const { return str("/probe/", port, path); }

std::vector<Probe> redirect_probes(const Node& spec, config::Rewrite& rewrite) {
  std::set<Probe> probes;
  for (const char* list : {"initContainers", "containers"}) {
    for (const Node container : spec[list].items()) {
      for (const char* name : {"startupProbe", "livenessProbe", "readinessProbe"}) {
        if (const Node probe = container[name]; probe.is_mapping()) {
          Handler(probe, container).redirect(rewrite, probes);
        }
      }
      for (const char* name : {"postStart", "preStop"}) {
        const Node lifecycle = container["lifecycle"];
        if (lifecycle.is_mapping() && lifecycle[name].is_mapping()) {
          Handler(lifecycle[name], container).redirect(rewrite, probes);
        }
      }
    }
  }
  return {probes.begin(), probes.end()};
}

std::string probes_overlay(const std::vector<Probe>& probes) {
  config::TreeBuilder tree("probes");
  EnvoyWriter out(tree);
  out.item([&] {
    out.message("static_resources", [&] {
      out.list("listeners", [&] { out.item([&] { write_listener(out, probes); }); });
      out.list("clusters", [&] {
        uint16_t last = 0;  // they are in order of their ports
        for (const Probe& probe : probes) {
          if (probe.port != last) out.item([&] { write_cluster(out, probe.port); });
          last = probe.port;
        }
      });
    });
  });
  return config::print_yaml(*tree.finish());
}

}  // namespace pillion::cli
