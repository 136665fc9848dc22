#pragma once
// Facts: what a policy can ask about a request or a connection, and how a fact that is not there
// reads.  Views; made on the stack for one verdict.
//
// Who the peer is comes from its *verified* certificate only.  Without one it has no names: no
// `authenticated`, with or without a principal_name, matches it.  Envoy takes any TLS connection
// for authenticated, and believes certificates that nobody verified.

#include <string>
#include <string_view>
#include <vector>

#include "proxy/core/http_filter.h"

namespace pillion::filters::rbac {

struct Facts {
  // With the client that a stream came from, if another proxy told it (x-forwarded-for).
  const core::ConnectionInfo& connection;
  // Null: the connection is judged, not a request.
  const http::RequestHead* request = nullptr;
  std::string_view path = {};         // of the request, as routes see it: canonical, no query
  std::string_view server_name = {};  // SNI
  const core::StreamInfo* stream = nullptr;  // its metadata and filter state; null: none

  // Null: nobody has proven who it is.
  [[nodiscard]] const io::PeerIdentity* peer() const noexcept {
    const io::PeerIdentity* identity = connection.identity;
    return identity != nullptr && identity->verified ? identity : nullptr;
  }
};

// fn(name) for each SAN of a kind, such as &io::PeerCertificate::uri_sans, until it returns true;
// whether it did.
template <typename Fn>
bool any_name(const io::PeerIdentity& peer, std::vector<std::string> io::PeerCertificate::* names,
              Fn&& fn) {
  if (peer.certificate == nullptr) return false;
  for (const std::string& name : peer.certificate->*names) {
    if (fn(std::string_view(name))) return true;
  }
  return false;
}

// The same of all names of a principal, as Envoy has them: URI SANs, DNS SANs, subject.
template <typename Fn>
bool any_principal(const io::PeerIdentity& peer, Fn&& fn) {
  return any_name(peer, &io::PeerCertificate::uri_sans, fn) ||
         any_name(peer, &io::PeerCertificate::dns_sans, fn) || fn(peer.subject);
}

}  // namespace pillion::filters::rbac
