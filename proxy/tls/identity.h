#pragma once
// The io::PeerIdentity of one connection: the struct, its hold on the peer's certificate, and the
// server name, in a single allocation.
//
// Views of our own certificate point into the Context; version, cipher, ALPN and session id are set
// by the transport when the handshake ends and point into BoringSSL.

#include <memory>
#include <new>
#include <string_view>

#include "proxy/io/transport.h"
#include "proxy/tls/context.h"
#include "proxy/tls/verify.h"

namespace pillion::tls {

struct FreeIdentity {
  void operator()(io::PeerIdentity* identity) const noexcept;
};
using IdentityPtr = std::unique_ptr<io::PeerIdentity, FreeIdentity>;

// `facts` is null without a certificate of the peer.
IdentityPtr make_identity(const PeerFacts* facts, std::string_view sni);
void set_local(io::PeerIdentity& identity, const Context::Identity& own) noexcept;

}  // namespace pillion::tls
