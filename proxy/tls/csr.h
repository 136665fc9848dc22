#pragma once
// Certificate signing requests (PKCS #10, RFC 2986), both ends: a workload makes one with a fresh
// key, a CA checks it and signs.  Off the data path.

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/tls/issue.h"
#include "proxy/tls/san_matcher.h"

namespace pillion::tls {

struct SigningRequest {
  std::string csr_pem;
  std::string key_pem;  // PKCS#8
};

// A fresh key and the request for its certificate, with these names in it; the subject is empty.
// An RSA key takes up to seconds, on any thread; if `stop` becomes true on the way, an error.
Result<SigningRequest> make_signing_request(KeyType key, const std::vector<San>& sans,
                                            const std::atomic<bool>* stop = nullptr);

// The certificate that `issuer` gives for `csr_pem`, PEM.  Of the request only the public key is
// taken, after its proof of possession: names, usage and dates are those of `request`.  Errors: no
// request, a key that is too weak or of another kind (see parse_private_key), a bad signature.
Result<std::string> sign_request(std::string_view csr_pem, const CertificateRequest& request,
                                 const Issued& issuer);

}  // namespace pillion::tls
