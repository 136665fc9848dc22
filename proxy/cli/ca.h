#pragma once
// `pillion ca init|issue`: a certificate authority for development, in a directory, and workload
// certificates from it, so that a first run with mutual TLS needs no openssl.
//
//   DIR/ca.crt   self-signed, ECDSA P-256, signs leaves only; its URI SAN is spiffe://TRUST_DOMAIN
//   DIR/ca.key   PKCS#8, unencrypted, mode 0600
//
// A workload certificate carries its SPIFFE id as the only URI SAN (X509-SVID, section 2), plus DNS
// names and addresses for clients that look for those.  Its trust domain is that of the CA.

#include <cstdint>
#include <string>
#include <vector>

namespace pillion::cli {

struct CaInitOptions {
  std::string dir{};           // made if it is not there
  std::string trust_domain{};  // "mesh.local"
  uint32_t days = 3650;
};

struct CaIssueOptions {
  std::string dir{};
  std::string spiffe{};  // "spiffe://mesh.local/ns/shop/sa/users"
  std::vector<std::string> dns{};
  std::vector<std::string> ips{};
  uint32_t days = 90;      // cut to the CA's own end
  std::string out_cert{};  // the chain, which is the leaf alone; replaced if there
  std::string out_key{};   // mode 0600; replaced if there
};

// Both return the exit status: 0, or 1 after one line on standard error that says what to do.
// What was done is one line on standard output.

// A complete CA of the same trust domain is left as it is, with success; anything else that lies in
// the way is an error.  A key is never overwritten.
int run_ca_init(const CaInitOptions& options);
int run_ca_issue(const CaIssueOptions& options);

}  // namespace pillion::cli
