#pragma once
// Facts: what a policy can ask about a request or a connection, and how a fact that is not there
// reads.  Views; made on the stack for one verdict.
//
// Who the peer is comes from its *verified* certificate only.  Without one it has no names: no
// `authenticated`, with or without a principal_name, matches it.  Envoy takes any TLS connection
// for authenticated, and believes certificates that nobody verified.

#include <string_view>

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

// fn(name) for each URI SAN, or DNS SAN, until it returns true; whether it did.
template <typename Fn>
bool any_name(std::string_view first, std::string_view more, Fn&& fn) {
  if (first.empty()) return false;
  if (fn(first)) return true;
  while (!more.empty()) {
    more.remove_prefix(1);
    const std::string_view name = more.substr(0, more.find('\0'));
    if (fn(name)) return true;
    more.remove_prefix(name.size());
  }
  return false;
}

// The same of all names of a principal, as Envoy has them: URI SANs, DNS SANs, subject.
template <typename Fn>
bool any_principal(const io::PeerIdentity& peer, Fn&& fn) {
  return any_name(peer.uri_san, peer.more_uri_sans, fn) ||
         any_name(peer.dns_san, peer.more_dns_sans, fn) || fn(peer.subject);
}

}  // namespace pillion::filters::rbac
