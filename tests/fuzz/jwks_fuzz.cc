// A key set, as an issuer may publish it.  Whatever it is, keys that are read are within limits and
// serve for their own algorithm only; no key takes nonsense for a signature.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "proxy/tls/jwk.h"

using namespace pillion;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Result<tls::JwkSet> set = tls::JwkSet::parse(text);
  if (!set) {
    check(!set.error().empty());
    return 0;
  }
  check(!set->keys().empty() && set->keys().size() <= tls::JwkSet::kMaxKeys);
  for (const tls::Jwk& jwk : set->keys()) {
    if (jwk.algorithm) check(jwk.key.fits(*jwk.algorithm));
    int fitting = 0;
    for (uint8_t i = 0; i <= static_cast<uint8_t>(tls::SignatureAlgorithm::kEdDsa); ++i) {
      const auto algorithm = static_cast<tls::SignatureAlgorithm>(i);
      fitting += jwk.key.fits(algorithm) ? 1 : 0;
      check(!jwk.key.verify(algorithm, "text", std::string(64, '\0')));
    }
    check(fitting == (jwk.key.kind() == tls::KeyKind::kRsa ? 6 : 1));
  }
  return 0;
}
