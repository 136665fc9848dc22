#include "certs/ca_messages.h"

#include "proxy/base/protobuf_wire.h"

namespace pillion::certs {
namespace {

// Certificates in a chain; no CA has so many.
constexpr size_t kMaxChain = 64;

}  // namespace

std::string encode_certificate_request(const CertificateCall& call) {
  std::string out;
  wire::write_bytes(out, 1, call.csr_pem);
  wire::write_number(out, 3, static_cast<uint64_t>(call.validity_s));
  return out;
}

std::optional<CertificateCall> decode_certificate_request(std::string_view bytes) {
  CertificateCall out;
  wire::Reader in(bytes);
  for (wire::Field field; in.next(field);) {
    if (field.number == 1 && field.is_bytes) out.csr_pem = field.bytes;
    if (field.number == 3 && !field.is_bytes) out.validity_s = static_cast<int64_t>(field.value);
  }
  if (!in.is_sound()) return std::nullopt;
  return out;
}

std::string encode_certificate_response(const std::vector<std::string_view>& chain) {
  std::string out;
  for (const std::string_view certificate : chain) wire::write_item(out, 1, certificate);
  return out;
}

std::optional<std::vector<std::string_view>> decode_certificate_response(std::string_view bytes) {
  std::vector<std::string_view> out;
  wire::Reader in(bytes);
  for (wire::Field field; in.next(field);) {
    if (field.number != 1 || !field.is_bytes) continue;
    if (out.size() == kMaxChain) return std::nullopt;
    out.push_back(field.bytes);
  }
  if (!in.is_sound()) return std::nullopt;
  return out;
}

}  // namespace pillion::certs
