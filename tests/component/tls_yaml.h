#pragma once
// Transport sockets in YAML with certificates of a TestCa.

#include <string>
#include <string_view>

#include "proxy/base/str.h"
#include "tests/component/worker_fixture.h"
#include "tests/support/test_ca.h"

namespace pillion::testing {

// A text of several lines as a double-quoted scalar.
inline std::string yaml_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) out += c == '\n' ? std::string("\\n") : std::string(1, c);
  return out + '"';
}

// common_tls_context of a workload that trusts `ca`.
inline std::string common_tls(const TestCa& ca, std::string_view uri) {
  const tls::CertificateConfig certificate = ca.certificate(std::string(uri));
  return str(
      "common_tls_context: { tls_params: { tls_minimum_protocol_version: TLSv1_3 }, "
      "tls_certificates: [ { "
      "certificate_chain: { inline_string: ",
      yaml_text(certificate.chain_pem),
      " }, private_key: { inline_string: ", yaml_text(certificate.key_pem),
      " } } ], validation_context: { trusted_ca: { inline_string: ", yaml_text(ca.pem()), " } } }");
}

// Of a filter chain that asks for the client's certificate.
inline std::string server_tls(const TestCa& ca) {
  return str("transport_socket: { name: tls, typed_config: { ", kExtension,
             "transport_sockets.tls.v3.DownstreamTlsContext, require_client_certificate: true, ",
             common_tls(ca, "spiffe://mesh.local/ns/shop/sa/users"), " } }");
}

// Of a cluster.
inline std::string client_tls(const TestCa& ca) {
  return str("transport_socket: { name: tls, typed_config: { ", kExtension,
             "transport_sockets.tls.v3.UpstreamTlsContext, sni: users.shop, ",
             common_tls(ca, "spiffe://mesh.local/ns/shop/sa/customer"), " } }");
}

}  // namespace pillion::testing
