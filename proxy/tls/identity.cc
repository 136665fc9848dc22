#include "proxy/tls/identity.h"

#include <cstring>
#include <new>

namespace pillion::tls {
namespace {

struct HoldingIdentity : io::PeerIdentity {
  std::shared_ptr<const io::PeerCertificate> held;
};

std::string_view first_of(const std::vector<std::string>& names) noexcept {
  return names.empty() ? std::string_view() : std::string_view(names.front());
}

}  // namespace

IdentityPtr make_identity(const PeerFacts* facts, std::string_view sni) {
  void* memory = ::operator new(sizeof(HoldingIdentity) + sni.size());
  auto* identity = new (memory) HoldingIdentity;
  IdentityPtr owner(identity);
  if (!sni.empty()) {
    char* const text = static_cast<char*>(memory) + sizeof(HoldingIdentity);
    std::memcpy(text, sni.data(), sni.size());
    identity->sni = {text, sni.size()};
  }
  if (facts == nullptr) return owner;
  identity->presented = true;
  identity->verified = facts->verified;
  identity->held = facts->certificate;
  const io::PeerCertificate& certificate = *identity->held;
  identity->certificate = &certificate;
  identity->uri_san = first_of(certificate.uri_sans);
  identity->dns_san = first_of(certificate.dns_sans);
  identity->subject = certificate.subject;
  identity->serial = certificate.serial;
  identity->sha256 = certificate.sha256;
  return owner;
}

void FreeIdentity::operator()(io::PeerIdentity* identity) const noexcept {
  auto* const block = static_cast<HoldingIdentity*>(identity);
  block->~HoldingIdentity();
  ::operator delete(block);
}

void set_local(io::PeerIdentity& identity, const Context::Identity& own) noexcept {
  identity.local_uri_san = own.uri_san;
  identity.local_subject = own.subject;
  identity.local = own.certificate.get();
}

}  // namespace pillion::tls
