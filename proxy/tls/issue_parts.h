#pragma once
// What issue.cc and csr.cc share.  The legal order of calls and the errors are those of issue.h.

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/tls/issue.h"
#include "proxy/tls/pem.h"

struct stack_st_GENERAL_NAME;

namespace pillion::tls {

struct FreeGeneralNames {
  void operator()(stack_st_GENERAL_NAME* names) const noexcept;
};
using GeneralNamesPtr = std::unique_ptr<stack_st_GENERAL_NAME, FreeGeneralNames>;

// Null if the library cannot, or `stop` (null: never) became true on the way: an RSA key takes up
// to seconds.
KeyPtr make_key(KeyType type, const std::atomic<bool>* stop = nullptr);
Result<GeneralNamesPtr> to_general_names(const std::vector<San>& sans);
// PKCS#8.
std::string private_key_pem(evp_pkey_st& key);
// The certificate of `key`, PEM, signed by `issuer`, or by the key itself if that is null.
// request.key is not looked at.
Result<std::string> certify(evp_pkey_st& key, const CertificateRequest& request,
                            const Issued* issuer);

}  // namespace pillion::tls
