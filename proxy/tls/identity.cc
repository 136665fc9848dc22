#include "proxy/tls/identity.h"

#include <cstring>
#include <new>

namespace pillion::tls {

IdentityPtr make_identity(const PeerFacts* facts, std::string_view sni) {
  static const PeerFacts kNobody;
  const PeerFacts& peer = facts == nullptr ? kNobody : *facts;
  const size_t texts = peer.uri_san.size() + peer.dns_san.size() + peer.subject.size() +
                       peer.more_uri_sans.size() + peer.more_dns_sans.size() + peer.serial.size() +
                       peer.sha256.size() + sni.size();
  void* memory = ::operator new(sizeof(io::PeerIdentity) + texts);
  IdentityPtr identity(new (memory) io::PeerIdentity);
  char* at = static_cast<char*>(memory) + sizeof(io::PeerIdentity);
  const auto copy = [&at](std::string_view text) {
    if (text.empty()) return std::string_view();
    std::memcpy(at, text.data(), text.size());
    const std::string_view copied(at, text.size());
    at += text.size();
    return copied;
  };
  identity->uri_san = copy(peer.uri_san);
  identity->dns_san = copy(peer.dns_san);
  identity->more_uri_sans = copy(peer.more_uri_sans);
  identity->more_dns_sans = copy(peer.more_dns_sans);
  identity->subject = copy(peer.subject);
  identity->serial = copy(peer.serial);
  identity->sha256 = copy(peer.sha256);
  identity->sni = copy(sni);
  identity->presented = facts != nullptr;
  identity->verified = peer.verified;
  return identity;
}

void set_local(io::PeerIdentity& identity, const Context::Identity& own) noexcept {
  identity.local_uri_san = own.uri_san;
  identity.local_subject = own.subject;
}

}  // namespace pillion::tls
