#pragma once
// X509-SVIDs (SPIFFE's X509-SVID, sections 2 to 5): what an identity that a source gives us must be
// before it is used, and the DER of the Workload API as the PEM of tls/.

#include <optional>
#include <string>
#include <string_view>

#include "proxy/base/clock.h"
#include "proxy/base/result.h"

namespace pillion::certs {

// What is known of an identity that can be used.
struct Svid {
  std::string id;  // "spiffe://mesh.local/ns/shop/sa/users"
  std::string trust_domain;
  WallTime not_after{};  // of the leaf
};

// The leaf is no CA, is valid now (or within five minutes: clocks differ), has exactly one URI SAN,
// which is the SPIFFE id of a workload,
// and the key belongs to it.  Errors say what is wrong and name no content of the key.
Result<Svid> check_svid(std::string_view chain_pem, std::string_view key_pem, WallTime now);

// At least one certificate, each of a CA (SPIFFE Trust Domain and Bundle, 4.2).
Status<> check_bundle(std::string_view pem);

// Concatenated DER values, each as one PEM block of that label ("CERTIFICATE", "X509 CRL", "PRIVATE
// KEY"); none if they are not DER, or none or more than `most` of them.
std::optional<std::string> pem_of_der(std::string_view label, std::string_view der,
                                      size_t most = 256);

}  // namespace pillion::certs
