#include "certs/workload_messages.h"

#include "proxy/base/protobuf_wire.h"

namespace pillion::certs {
namespace {

bool is_too_much(size_t count) noexcept { return count >= kMaxWorkloadItems; }

// An entry of a map<string, bytes>: 1 key, 2 value.
bool add_entry(std::string_view bytes, BundleMap& map) {
  if (is_too_much(map.size())) return false;
  auto& [name, bundle] = map.emplace_back();
  wire::Reader in(bytes);
  for (wire::Field field; in.next(field);) {
    if (!field.is_bytes) continue;
    if (field.number == 1) name = field.bytes;
    if (field.number == 2) bundle = field.bytes;
  }
  return in.is_sound();
}

bool add_svid(std::string_view bytes, std::vector<SvidMessage>& svids) {
  if (is_too_much(svids.size())) return false;
  SvidMessage& svid = svids.emplace_back();
  std::string_view* const texts[] = {&svid.spiffe_id, &svid.chain_der, &svid.key_der,
                                     &svid.bundle_der, &svid.hint};
  wire::Reader in(bytes);
  for (wire::Field field; in.next(field);) {
    if (field.is_bytes && field.number >= 1 && field.number <= 5)
      *texts[field.number - 1] = field.bytes;
  }
  return in.is_sound();
}

bool add_crl(std::string_view bytes, std::vector<std::string_view>& crls) {
  if (is_too_much(crls.size())) return false;
  crls.push_back(bytes);
  return true;
}

}  // namespace

std::optional<X509SvidResponse> decode_x509_svids(std::string_view bytes) {
  X509SvidResponse out;
  wire::Reader in(bytes);
  for (wire::Field field; in.next(field);) {
    if (!field.is_bytes) continue;
    const bool is_good = field.number == 1   ? add_svid(field.bytes, out.svids)
                         : field.number == 2 ? add_crl(field.bytes, out.crls_der)
                         : field.number == 3 ? add_entry(field.bytes, out.federated_bundles)
                                             : true;
    if (!is_good) return std::nullopt;
  }
  if (!in.is_sound()) return std::nullopt;
  return out;
}

std::optional<BundlesResponse> decode_x509_bundles(std::string_view bytes) {
  BundlesResponse out;
  wire::Reader in(bytes);
  for (wire::Field field; in.next(field);) {
    if (!field.is_bytes) continue;
    const bool is_good = field.number == 1   ? add_crl(field.bytes, out.crls_der)
                         : field.number == 2 ? add_entry(field.bytes, out.bundles)
                                             : true;
    if (!is_good) return std::nullopt;
  }
  if (!in.is_sound()) return std::nullopt;
  return out;
}

std::optional<BundlesResponse> decode_jwt_bundles(std::string_view bytes) {
  BundlesResponse out;
  wire::Reader in(bytes);
  for (wire::Field field; in.next(field);) {
    if (field.is_bytes && field.number == 1 && !add_entry(field.bytes, out.bundles))
      return std::nullopt;
  }
  if (!in.is_sound()) return std::nullopt;
  return out;
}

}  // namespace pillion::certs
