#pragma once
// PeerCertificate: what a certificate says of its owner.  Immutable; made once for all connections
// of a thread that show it, and held by each of them, so that a connection costs a pointer.
//
// As large as a handshake lets a certificate be: no name is left out, for a rule that denies must
// see all of them.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pillion::io {

struct PeerCertificate {
  // Subject alternative names, in the certificate's order; none with control characters.
  std::vector<std::string> uri_sans;
  std::vector<std::string> dns_sans;
  std::vector<std::string> ip_sans;
  std::vector<std::string> email_sans;
  std::string subject;  // RFC 2253
  std::string issuer;   // RFC 2253
  std::string serial;   // lower-case hex
  std::string sha256;   // fingerprints, lower-case hex
  std::string sha1;
  int64_t not_before = 0;  // seconds since 1970
  int64_t not_after = 0;
  // DER of the certificate and of those that were sent behind it; empty for our own.
  std::vector<std::string_view> chain;
};

}  // namespace pillion::io
