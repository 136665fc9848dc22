#include "proxy/core/client_cert_header.h"

#include <string>

#include "proxy/base/str.h"

namespace pillion::core {
namespace {

// A value with a separator in it is quoted, quotes inside are escaped (Envoy's XFCC grammar).
void append_value(std::string& out, std::string_view value) {
  if (value.find_first_of(",;=\"") == std::string_view::npos) {
    out += value;
    return;
  }
  out += '"';
  for (char c : value) {
    if (c == '"') out += '\\';
    out += c;
  }
  out += '"';
}

void append_pair(std::string& out, std::string_view name, std::string_view value) {
  if (!out.empty()) out += ';';
  out += name;
  out += '=';
  append_value(out, value);
}

std::string make_element(const io::PeerIdentity& peer, const ClientCertDetails& details) {
  std::string out;
  if (!peer.local_uri_san.empty()) append_pair(out, "By", peer.local_uri_san);
  append_pair(out, "Hash", peer.sha256);
  if (details.subject) {
    out += ";Subject=\"";
    for (char c : peer.subject) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  if (details.uri) append_pair(out, "URI", peer.uri_san);
  if (details.dns && !peer.dns_san.empty()) append_pair(out, "DNS", peer.dns_san);
  return out;
}

}  // namespace

void set_client_cert_header(http::Headers& headers, const HcmConfig& config, const ConnectionInfo& connection) {
  using http::HeaderId;
  if (config.forward_client_cert == ForwardClientCert::kAlwaysForwardOnly) return;
  const io::PeerIdentity* peer = connection.identity;
  const bool proven = peer != nullptr && peer->presented && peer->verified;
  const bool sanitize = config.forward_client_cert == ForwardClientCert::kSanitize ||
                        config.forward_client_cert == ForwardClientCert::kSanitizeSet;
  // Fields from a peer without a certificate prove nothing.
  if (sanitize || !proven) headers.remove(HeaderId::kXForwardedClientCert);
  if (!proven) return;
  const bool set = config.forward_client_cert == ForwardClientCert::kSanitizeSet ||
                   config.forward_client_cert == ForwardClientCert::kAppendForward;
  if (!set) return;
  const std::string element = make_element(*peer, config.client_cert_details);
  const std::string_view before = headers.get(HeaderId::kXForwardedClientCert);
  headers.set(HeaderId::kXForwardedClientCert,
              headers.arena().copy(before.empty() ? element : str(before, ",", element)));
}

}  // namespace pillion::core
