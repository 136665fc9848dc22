#pragma once
// OCSP responses that a server staples to its handshake (RFC 6066, section 8; RFC 6960, 4.2.1):
// read from a file, checked for its certificate, sent while it is good.  Its signature is for the
// client to check; nobody is asked over the network.

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/base/result.h"

struct x509_st;

namespace pillion::tls {

struct OcspStaple {
  std::string der;
  int64_t this_update = 0;  // seconds since 1970
  int64_t next_update = 0;

  [[nodiscard]] bool is_good(int64_t now) const noexcept {
    return !der.empty() && now >= this_update && now < next_update;
  }
};

// One response that says that `leaf` is good, for a limited time; or why it is none.
Result<OcspStaple> parse_ocsp_response(std::string_view der, const x509_st& leaf);
// The same for the leaf of a PEM text.
Status<> check_staple(std::string_view der, std::string_view chain_pem);
// Does the certificate demand a staple (RFC 7633)?
bool must_be_stapled(const x509_st& leaf);
bool must_be_stapled(std::string_view chain_pem);

}  // namespace pillion::tls
