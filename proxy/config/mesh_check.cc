#include <map>

#include "proxy/base/str.h"
#include "proxy/config/mesh_parts.h"

namespace pillion::config {
namespace {

void check_identity(const Mesh& mesh) {
  auto need = [&mesh](const Node& user, const char* what, const char* off) {
    if (!mesh.workload.has_certificates()) {
      user.error(str(what, " needs workload.certificates (or say ", off, ": off)"));
    } else if (mesh.workload.trust_domain.empty() && !mesh.workload.spiffe) {
      user.error(str(what, " needs workload.trust_domain, which says whose peers are accepted"));
    }
  };
  // A wrong word was reported already; what it stands for would be a guess.
  auto says = [](const Node& section, std::string_view field, std::string_view word) {
    const bool is_readable = section.is_missing() || section.is_mapping();
    return is_readable && (section[field].is_missing() || section[field].raw() == word);
  };
  if (mesh.inbound) {
    const Inbound& inbound = *mesh.inbound;
    if (says(inbound.node, "mtls", "strict")) {
      need(inbound.node, "mtls: strict", "mtls");
    } else if (says(inbound.node, "mtls", "permissive")) {
      need(inbound.node["mtls"], "permissive", "mtls");
    }
    for (const PortRule& rule : inbound.ports) {
      const Node mtls = rule.node["mtls"];
      const bool asks = mtls.raw() == "strict" || mtls.raw() == "permissive";
      if (asks && inbound.mtls == Mtls::kOff) need(mtls, std::string(mtls.raw()).c_str(), "mtls");
    }
  }
  for (const Service& service : mesh.services) {
    if (says(service.node, "tls", "mesh")) need(service.node, "tls: mesh", "tls");
  }
}

// Does a connection to `to` end at a listener on `listen`?  Where other hosts' addresses cannot be
// told from ours (0.0.0.0), it does not.
bool arrives_at(const AddressText& to, const AddressText& listen) {
  using Kind = AddressText::Kind;
  if (to.kind != listen.kind || to.kind == Kind::kName || to.port != listen.port) return false;
  if (to.kind == Kind::kUnix) return to.host == listen.host;
  if (to.is_v6() != listen.is_v6() || to.port == 0) return false;
  const auto is_any = [](const AddressText& a) { return a.host == "0.0.0.0" || a.host == "::"; };
  if (is_any(to)) return is_any(listen) || listen.is_loopback();  // to 0.0.0.0 is to 127.0.0.1
  return to.host == listen.host || (is_any(listen) && to.is_loopback());
}

void check_loops(const Mesh& mesh) {
  if (!mesh.inbound || !mesh.inbound->app_node) return;
  const AddressText& app = mesh.inbound->app;
  const auto refuse = [&](std::string_view section, const AddressText& listen,
                          const std::optional<AddressText>& twin) {
    if (!arrives_at(app, listen) && !(twin && arrives_at(app, *twin))) return;
    mesh.inbound->app_node.error(str("is the sidecar's own address (", section, ".listen, ",
                                     listen.to_string(),
                                     "): calls would go round in a loop, not to the app"));
  };
  refuse("inbound", mesh.inbound->listen, mesh.inbound->listen_twin);
  if (mesh.outbound) refuse("outbound", mesh.outbound->listen, mesh.outbound->listen_twin);
}

void check_hosts(const Mesh& mesh) {
  std::map<std::string_view, const Service*> owners;
  for (const Service& service : mesh.services) {
    for (const Located<std::string>& host : service.hosts) {
      auto [at, is_new] = owners.emplace(host.value, &service);
      if (is_new) continue;
      service.node.errors()->error(
          host.where, str("host \"", host.value, "\" belongs to services.", at->second->name));
    }
  }
}

}  // namespace

void check_mesh(const Mesh& mesh) {
  check_identity(mesh);
  check_hosts(mesh);
  check_loops(mesh);
  check_authorize(mesh);
}

}  // namespace pillion::config
