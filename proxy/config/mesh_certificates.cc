// workload.certificates: where the identity comes from.
#include <cstdlib>

#include "proxy/base/str.h"
#include "proxy/config/mesh_parts.h"

namespace pillion::config {
namespace {

constexpr std::string_view kFiles = "{ cert: users.crt, key: users.key, ca: ca.crt }";
constexpr std::string_view kSds = "{ socket: \"unix:/run/secrets/socket\" }";
constexpr std::string_view kSpiffe = "{ socket: unix:/run/spire/agent.sock }";
constexpr std::string_view kCsr =
    "{ address: istiod.istio-system:15012, token_file: token, ca: ca.crt }";
// Where SPIFFE's tools look if nobody says ("SPIFFE Workload Endpoint", 4).
constexpr const char* kEndpointVariable = "SPIFFE_ENDPOINT_SOCKET";
constexpr std::string_view kEndpoint = "unix:///run/spire/agent.sock, or tcp://127.0.0.1:8081";

// "spiffe://mesh.local/ns/shop/sa/users".
std::string istio_identity(const Workload& workload) {
  if (workload.trust_domain.empty()) return {};
  return str("spiffe://", workload.trust_domain, "/ns/", workload.name_space, "/sa/",
             workload.name);
}

CertificateFiles parse_files(const Node& files) {
  if (files.is_missing() || !is_section(files, kFiles)) return {};
  CertificateFiles out{files["cert"].as_string(), files["key"].as_string(), files["ca"].as_string(),
                       files};
  files.reject_unknown_keys();
  return out;
}

CertificateSds parse_sds(const Node& node) {
  CertificateSds out;
  out.node = node;
  if (!is_section(node, kSds)) return out;
  out.socket_node = node["socket"];
  out.cert = node["cert"].as_string_or("default");
  out.ca = node["ca"].as_string_or("ROOTCA");
  if (out.cert.empty()) node["cert"].expected("the name of a secret");
  if (out.ca.empty()) node["ca"].expected("the name of a secret");
  if (node.required("socket").is_present())
    out.socket = address_or(out.socket_node, "127.0.0.1:8234");
  node.reject_unknown_keys();
  return out;
}

CertificateSpiffe parse_spiffe(const Node& node) {
  CertificateSpiffe out;
  out.node = out.socket_node = node;
  if (!is_section(node, kSpiffe)) return out;
  const Node socket = node["socket"];
  if (socket) out.socket_node = socket;
  node.reject_unknown_keys();
  const char* variable = std::getenv(kEndpointVariable);
  if (socket.is_missing() && variable == nullptr) {
    node.error(str("expected socket: ", kEndpoint, " (and ", kEndpointVariable, " is not set)"));
    return out;
  }
  const std::string text = socket ? socket.as_string() : std::string(variable);
  if (auto address = parse_spiffe_endpoint(text)) {
    out.socket = std::move(*address);
    out.is_complete = true;
  } else if (socket) {
    socket.expected(address.error());
  } else {
    node.error(str(kEndpointVariable, ": expected ", address.error()));
  }
  return out;
}

CertificateCsr parse_csr(const Node& node, const Workload& workload) {
  static constexpr Word kKeys[] = {{"p256", 0}, {"p384", 1}, {"rsa2048", 2}, {"rsa4096", 3}};
  CertificateCsr out;
  out.node = node;
  if (!is_section(node, kCsr)) return out;
  const size_t errors_before = node.errors()->error_count();
  out.address_node = node.required("address");
  out.address = address_or(out.address_node, "127.0.0.1:15012");
  if (out.address.kind != AddressText::Kind::kUnix && out.address.port == 0)
    out.address_node.expected("an address with a port of 1-65535");
  out.token_node = node.required("token_file");
  out.token_file = out.token_node.as_string_or("");
  out.ca_node = node["ca"];
  out.ca = out.ca_node.as_string_or("");
  out.identity_node = node["identity"];
  out.identity = out.identity_node.as_string_or(istio_identity(workload));
  out.ttl_node = node["ttl"];
  out.ttl = out.ttl_node.as_duration_or(out.ttl);
  out.key_node = node["key"];
  if (const int number = choose(out.key_node, -1, kKeys); number >= 0) out.key = kKeys[number].text;
  // A token must not go to a stranger.
  if (out.ca.empty() && out.address.kind != AddressText::Kind::kUnix)
    out.ca_node.error(
        "required field is missing: a file with the certificate that a CA by TCP is known by");
  node.reject_unknown_keys();
  out.is_complete = node.errors()->error_count() == errors_before;
  return out;
}

}  // namespace

// unix:///path without an authority, or tcp://IP:PORT without a path ("SPIFFE Workload Endpoint",
// 4); and what addresses look like everywhere else here.
Result<AddressText> parse_spiffe_endpoint(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  constexpr std::string_view kTcp = "tcp://";
  const Error<std::string> error{std::string(kEndpoint)};
  if (text.starts_with(kUnix)) {
    std::string_view path = text.substr(kUnix.size());
    if (path.starts_with("//")) path.remove_prefix(2);
    if (!path.starts_with('/') || path.find_first_of("?#") != path.npos) return error;
    return AddressText{AddressText::Kind::kUnix, std::string(path), 0};
  }
  if (text.starts_with(kTcp)) text.remove_prefix(kTcp.size());
  auto address = parse_address(text);
  if (!address || address->kind != AddressText::Kind::kIp || address->port == 0) return error;
  return address;
}

void parse_certificates(const Node& node, Workload& out) {
  if (node.is_missing()) return;
  if (!is_section(node, str("{ files: ", kFiles, " }"))) {
    out.certificates = CertificateFiles{};
    return;
  }
  const Node files = node["files"], sds = node["sds"], spiffe = node["spiffe"], csr = node["csr"];
  node.reject_unknown_keys();
  // `spiffe:` with nothing after it takes the socket from the environment.
  const bool has_spiffe = spiffe.value() != nullptr;
  const int count = files.is_present() + sds.is_present() + has_spiffe + csr.is_present();
  if (count > 1) node.error("expected one of files, sds, spiffe and csr");
  if (count == 0)
    node.error(str("expected one of files, sds, spiffe and csr, such as { files: ", kFiles, " }"));
  if (csr.is_present()) {
    out.csr = parse_csr(csr, out);
  } else if (has_spiffe) {
    out.spiffe = parse_spiffe(spiffe);
  } else if (sds.is_present()) {
    out.sds = parse_sds(sds);
  } else {
    out.certificates = parse_files(files);
  }
}

bool has_whole_identity(const Workload& workload) {
  const auto& files = workload.certificates;
  return (files && !files->cert.empty() && !files->key.empty() && !files->ca.empty()) ||
         (workload.sds && !workload.sds->socket.host.empty()) ||
         (workload.spiffe && workload.spiffe->is_complete) ||
         (workload.csr && workload.csr->is_complete);
}

}  // namespace pillion::config
