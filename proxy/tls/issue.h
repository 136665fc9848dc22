#pragma once
// Makes certificates: for `pillion ca` and for tests.  X.509 v3 with a fresh key, signed by a CA or
// by itself.  Off the data path.

#include <cstdint>
#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/tls/san_matcher.h"

namespace pillion::tls {

enum class KeyType : uint8_t { kP256, kP384, kRsa2048, kRsa4096, kEd25519 };

struct CertificateRequest {
  std::string common_name;  // may be empty; the SANs are then critical (RFC 5280, 4.2.1.6)
  std::vector<San> sans;
  int64_t not_before = 0;  // seconds since 1970
  int64_t not_after = 0;
  KeyType key = KeyType::kP256;
  bool is_ca = false;
  int path_length = -1;    // of a CA: how many CAs may follow; -1: any number
  bool for_server = true;  // extended key usage
  bool for_client = true;
};

struct Issued {
  std::string certificate_pem;
  std::string key_pem;  // PKCS#8
};

// `issuer` is null for a self-signed certificate.
Result<Issued> issue(const CertificateRequest& request, const Issued* issuer);

}  // namespace pillion::tls
