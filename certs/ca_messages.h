#pragma once
// The messages of Istio's CA (package istio.v1.auth, service IstioCertificateService, method
// CreateCertificate), for its client and for our own server:
//
//   IstioCertificateRequest    1 csr (PEM)   3 validity_duration (seconds)   4 metadata (Struct)
//   IstioCertificateResponse   1 cert_chain (PEM, repeated: leaf, intermediates, root)
//
// Both read any bytes; views point into them.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pillion::certs {

inline constexpr std::string_view kCreateCertificate =
    "/istio.v1.auth.IstioCertificateService/CreateCertificate";

struct CertificateCall {
  std::string_view csr_pem;
  int64_t validity_s = 0;  // 0: whatever the CA likes
};

std::string encode_certificate_request(const CertificateCall& call);
// None: the bytes are no such message.  The metadata is not looked at.
std::optional<CertificateCall> decode_certificate_request(std::string_view bytes);

std::string encode_certificate_response(const std::vector<std::string_view>& chain);
std::optional<std::vector<std::string_view>> decode_certificate_response(std::string_view bytes);

}  // namespace pillion::certs
