#pragma once
// The messages of the SPIFFE Workload API (service SpiffeWorkloadAPI, no package), as the standard
// has them ("The SPIFFE Workload API", sections 5 and 6):
//
//   FetchX509SVID     X509SVIDResponse     1 svids (X509SVID)   2 crl (bytes)   3 federated_bundles
//                     X509SVID             1 spiffe_id   2 x509_svid   3 x509_svid_key   4 bundle
//                                          5 hint
//   FetchX509Bundles  X509BundlesResponse  1 crl (bytes)   2 bundles
//   FetchJWTBundles   JWTBundlesResponse   1 bundles
//
// Maps are map<string, bytes>: trust domain ("spiffe://mesh.local", or "mesh.local") to bundle.
// X.509 is DER: certificates one behind the other, the leaf first; PKCS #8; JWT bundles are JWKS
// documents.  What is read here is sound by form alone; views point into the bytes.

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace pillion::certs {

inline constexpr std::string_view kFetchX509Svid = "/SpiffeWorkloadAPI/FetchX509SVID";
inline constexpr std::string_view kFetchX509Bundles = "/SpiffeWorkloadAPI/FetchX509Bundles";
inline constexpr std::string_view kFetchJwtBundles = "/SpiffeWorkloadAPI/FetchJWTBundles";

// Of each list and map; an answer with more is refused.
inline constexpr size_t kMaxWorkloadItems = 1000;

struct SvidMessage {
  std::string_view spiffe_id, chain_der, key_der, bundle_der, hint;
};
// (trust domain, bundle), in the order in which they came.
using BundleMap = std::vector<std::pair<std::string_view, std::string_view>>;

struct X509SvidResponse {
  std::vector<SvidMessage> svids;
  std::vector<std::string_view> crls_der;
  BundleMap federated_bundles;
};
struct BundlesResponse {
  std::vector<std::string_view> crls_der;  // of X.509 only
  BundleMap bundles;
};

// None: the bytes are no such message, or there is too much in it.
std::optional<X509SvidResponse> decode_x509_svids(std::string_view bytes);
std::optional<BundlesResponse> decode_x509_bundles(std::string_view bytes);
std::optional<BundlesResponse> decode_jwt_bundles(std::string_view bytes);

}  // namespace pillion::certs
