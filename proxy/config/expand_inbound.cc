// The inbound listener: what its filter chains match, and who may come in by which.
#include <algorithm>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/config/expand_parts.h"

namespace pillion::config {
namespace {

constexpr std::string_view kOriginalDst =
    "envoy.extensions.filters.listener.original_dst.v3.OriginalDst";
constexpr std::string_view kTlsInspector =
    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
constexpr std::string_view kDownstreamTls =
    "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";

// How long a connection to a permissive port may say nothing before it is taken for plain text of a
// protocol in which the server speaks first.  A client of mTLS that is slower than this is turned
// away, so it is not short.
constexpr std::chrono::seconds kSilence{5};

void write_tls(EnvoyWriter& out, const Mesh& mesh) {
  if (mesh.lacks_identity) return;
  out.message("transport_socket", [&] {
    out.extension("envoy.transport_sockets.tls", kDownstreamTls, [&] {
      out.flag("require_client_certificate", true);
      static constexpr std::string_view kAlpn[] = {"h2", "http/1.1"};
      write_common_tls(out, mesh, kAlpn);
    });
  });
}

// One filter chain: what it matches, its TLS, its filter.  `transport` empty: with or without TLS.
template <typename Filter>
void write_chain(EnvoyWriter& out, const Mesh& mesh, std::string_view name, const uint16_t* port,
                 std::string_view transport, Filter&& filter) {
  out.item([&] {
    out.text("name", name);
    if (port != nullptr || !transport.empty()) {
      out.message("filter_chain_match", [&] {
        if (port != nullptr) out.number("destination_port", *port);
        if (!transport.empty()) out.text("transport_protocol", transport);
      });
    }
    filter();
    if (transport == "tls") write_tls(out, mesh);
  });
}

// The chains of one port, or of all that have none of their own; `filter` writes what they end in,
// for these Peers.
template <typename Filter>
void write_chains(EnvoyWriter& out, const Mesh& mesh, std::string_view name, const uint16_t* port,
                  Mtls mtls, Filter&& filter) {
  if (mtls == Mtls::kOff)
    return write_chain(out, mesh, name, port, "", [&] { filter(Peers::kPlain); });
  write_chain(out, mesh, name, port, "tls", [&] { filter(Peers::kMutualTls); });
  if (mtls == Mtls::kPermissive) {
    write_chain(out, mesh, str(name, "-plain"), port, "raw_buffer",
                [&] { filter(Peers::kPlainTwin); });
  }
}

// A ListenerFilterChainMatchPredicate: the destination port is one of these.
void write_ports(EnvoyWriter& out, const std::vector<uint16_t>& ports) {
  const auto range = [&out](uint16_t port) {
    out.message("destination_port_range", [&] {
      out.number("start", port);
      out.number("end", port + 1u);
    });
  };
  if (ports.size() == 1) return range(ports.front());
  out.message("or_match", [&] {
    out.list("rules", [&] {
      for (const uint16_t port : ports) out.item([&] { range(port); });
    });
  });
}

// Ports without TLS are not looked at: their protocol may be one in which the server speaks first.
void write_tls_inspector(EnvoyWriter& out, const Inbound& inbound) {
  const bool is_off = inbound.mtls == Mtls::kOff;
  std::vector<uint16_t> others;  // than what inbound.mtls says
  for (const PortRule& rule : inbound.ports) {
    if ((rule.mtls == Mtls::kOff) != is_off) others.push_back(rule.port);
  }
  if (is_off && others.empty()) return;
  out.item([&] {
    out.extension("envoy.filters.listener.tls_inspector", kTlsInspector, [] {});
    if (others.empty()) return;
    out.message("filter_disabled", [&] {
      if (!is_off) return write_ports(out, others);
      out.message("not_match", [&] { write_ports(out, others); });
    });
  });
}

bool any_is(const Inbound& inbound, Mtls mtls) {
  return inbound.mtls == mtls ||
         std::ranges::find(inbound.ports, mtls, &PortRule::mtls) != inbound.ports.end();
}

void write_listener_filters(EnvoyWriter& out, const Inbound& inbound) {
  const bool is_captured = inbound.capture == Capture::kRedirect;
  const bool has_tls = any_is(inbound, Mtls::kStrict) || any_is(inbound, Mtls::kPermissive);
  if (!is_captured && !has_tls) return;
  out.list("listener_filters", [&] {
    if (is_captured) write_original_dst(out);
    write_tls_inspector(out, inbound);
  });
  if (!any_is(inbound, Mtls::kPermissive)) return;
  out.duration("listener_filters_timeout", kSilence);
  out.flag("continue_on_listener_filters_timeout", true);
}

void write_captured_chains(EnvoyWriter& out, const Mesh& mesh) {
  const Inbound& inbound = *mesh.inbound;
  const auto pass = [&](Peers peers) {
    const std::string_view name = peers == Peers::kPlainTwin ? "inbound_tcp_plain" : "inbound_tcp";
    out.list("filters", [&] {
      write_authorize_tcp(out, mesh, name);
      write_tcp(out, mesh, name, kInboundPassthrough);
    });
  };
  for (const PortRule& rule : inbound.ports) {
    if (rule.port == inbound.app.port) continue;
    out.standing_for(rule.node, [&] {
      write_chains(out, mesh, str("port-", rule.port), &rule.port, rule.mtls, pass);
    });
  }
  write_chains(out, mesh, "other-ports", nullptr, inbound.mtls, pass);
}

}  // namespace

void write_original_dst(EnvoyWriter& out) {
  out.item([&] { out.extension("envoy.filters.listener.original_dst", kOriginalDst, [] {}); });
}

// The twin is of the other IP family, to which capture redirects as well.
void write_addresses(EnvoyWriter& out, const AddressText& address,
                     const std::optional<AddressText>& twin) {
  out.address("address", address);
  if (!twin) return;
  out.list("additional_addresses", [&] { out.item([&] { out.address("address", *twin); }); });
}

void write_inbound_listener(EnvoyWriter& out, const Mesh& mesh) {
  const Inbound& inbound = *mesh.inbound;
  const uint16_t* app_port = inbound.has_other_ports() ? &inbound.app.port : nullptr;
  out.standing_for(inbound.node, [&] {
    out.item([&] {
      out.text("name", "inbound");
      out.standing_for(inbound.listen_node,
                       [&] { write_addresses(out, inbound.listen, inbound.listen_twin); });
      out.word("traffic_direction", "INBOUND");
      write_listener_filters(out, inbound);
      out.list("filter_chains", [&] {
        write_chains(out, mesh, "app", app_port, inbound.mtls_of(inbound.app.port),
                     [&](Peers peers) { write_app_manager(out, mesh, peers); });
        if (app_port != nullptr) write_captured_chains(out, mesh);
      });
    });
  });
}

}  // namespace pillion::config
