// Any bytes as an answer of the SPIFFE Workload API, as a message of Istio's CA, as DER and as the
// development CA's request: read or refused; what is read lies within the bytes, and what is DER
// becomes PEM that the library takes or refuses by itself.
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>

#include "certs/ca_messages.h"
#include "certs/ca_service.h"
#include "certs/svid.h"
#include "certs/workload_messages.h"
#include "proxy/upstream/grpc_call.h"

using namespace pillion;

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

void check_within(std::string_view bytes, std::string_view part) {
  const std::less_equal<const char*> le;
  must(part.empty() || (le(bytes.data(), part.data()) &&
                        le(part.data() + part.size(), bytes.data() + bytes.size())));
}

void check_bundles(std::string_view bytes, const certs::BundleMap& bundles) {
  must(bundles.size() <= certs::kMaxWorkloadItems);
  for (const auto& [name, bundle] : bundles) {
    check_within(bytes, name);
    check_within(bytes, bundle);
    if (const auto pem = certs::pem_of_der("CERTIFICATE", bundle)) (void)certs::check_bundle(*pem);
  }
}

void read_workload_api(std::string_view bytes) {
  if (const auto answer = certs::decode_x509_svids(bytes)) {
    for (const certs::SvidMessage& svid : answer->svids) {
      check_within(bytes, svid.key_der);
      const auto chain = certs::pem_of_der("CERTIFICATE", svid.chain_der, 16);
      const auto key = certs::pem_of_der("PRIVATE KEY", svid.key_der, 1);
      if (chain && key) (void)certs::check_svid(*chain, *key, WallTime{});
    }
    check_bundles(bytes, answer->federated_bundles);
  }
  if (const auto answer = certs::decode_x509_bundles(bytes)) check_bundles(bytes, answer->bundles);
  if (const auto answer = certs::decode_jwt_bundles(bytes)) check_bundles(bytes, answer->bundles);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  read_workload_api(bytes);
  (void)certs::decode_certificate_response(bytes);
  static const certs::CaService service(
      {{}, 0, INT64_MAX}, certs::CaTokens::believe_any("mesh.local"), std::chrono::hours(1));
  const auto reply = service.create_certificate("Bearer spiffe://mesh.local/a", bytes, 1);
  must(reply.status != upstream::kGrpcOk);  // it has no key to sign with
  (void)certs::CaTokens::parse(bytes, "mesh.local");
  const auto identity = certs::CaTokens::believe_any("mesh.local").identity_of(bytes);
  must(!identity || identity->starts_with("spiffe://mesh.local/"));
  return 0;
}
