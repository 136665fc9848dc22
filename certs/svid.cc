#include "certs/svid.h"

#include "proxy/base/base64.h"
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "proxy/tls/pem.h"
#include "proxy/tls/spiffe_id.h"
#include "proxy/tls/wipe.h"
#include "proxy/tls/x509_info.h"

namespace pillion::certs {
namespace {

constexpr size_t kPemLine = 64;      // RFC 7468, section 2
constexpr size_t kMaxShownId = 200;  // in a message
// Our clock may be a little behind that of the CA.
constexpr Duration kTolerance = std::chrono::minutes(5);

// Of one DER value with the tag SEQUENCE, header included (X.690, 8.1.3: the definite form); 0: it
// is none.
size_t der_size(std::string_view der) noexcept {
  constexpr uint8_t kSequence = 0x30;
  if (der.size() < 2 || static_cast<uint8_t>(der[0]) != kSequence) return 0;
  const auto first = static_cast<uint8_t>(der[1]);
  size_t header = 2;
  size_t size = first;
  if (first >= 0x80) {
    const size_t digits = first & 0x7f;
    if (digits == 0 || digits > 4 || der.size() < 2 + digits) return 0;
    size = 0;
    for (size_t i = 0; i < digits; ++i) size = size << 8 | static_cast<uint8_t>(der[2 + i]);
    header += digits;
  }
  return size <= der.size() - header ? header + size : 0;
}

void append_pem(std::string& out, std::string_view label, std::string_view der) {
  // Once: what grows leaves copies of a key behind.
  out.reserve(out.size() + base64_size(der.size()) * (kPemLine + 1) / kPemLine + kPemLine +
              2 * label.size());
  out.append("-----BEGIN ").append(label).append("-----\n");
  std::string text(base64_size(der.size()), '\0');
  write_base64(text.data(), der);
  for (size_t at = 0; at < text.size(); at += kPemLine) out.append(text, at, kPemLine).append("\n");
  tls::wipe(text);
  out.append("-----END ").append(label).append("-----\n");
}

}  // namespace

Result<Svid> check_svid(std::string_view chain_pem, std::string_view key_pem, WallTime now) {
  auto chain = tls::describe_pem(chain_pem);
  if (!chain) return Error{chain.error()};
  const tls::CertificateInfo& leaf = chain->front();
  if (leaf.is_ca) return Error{"the certificate is that of a CA, not of a workload"};
  size_t uris = 0;
  for (const tls::San& san : leaf.sans) uris += san.type == tls::SanType::kUri ? 1U : 0U;
  if (uris != 1) return Error{str("the certificate has ", uris, " URI SANs, expected one")};
  Svid out;
  out.id = leaf.first(tls::SanType::kUri);
  auto domain = tls::trust_domain_of(out.id);
  if (!domain) {
    return Error{str("the certificate is for ", config::printable(out.id, kMaxShownId), ": ",
                     domain.error())};
  }
  out.trust_domain = std::move(*domain);
  out.not_after = tls::wall_time(leaf.not_after);
  if (out.not_after <= now)
    return Error{str("the certificate expired at ", tls::utc_text(leaf.not_after))};
  if (tls::wall_time(leaf.not_before) > now + kTolerance) {
    return Error{str("the certificate is not valid before ", tls::utc_text(leaf.not_before),
                     " (is a clock wrong?)")};
  }
  if (auto ok = tls::check_key_matches(chain_pem, key_pem); !ok) return Error{ok.error()};
  return out;
}

Status<> check_bundle(std::string_view pem) {
  auto certificates = tls::describe_pem(pem);
  if (!certificates) return Error{certificates.error()};
  for (const tls::CertificateInfo& certificate : *certificates) {
    if (certificate.is_ca) continue;
    return Error{str("\"", config::printable(certificate.subject, kMaxShownId),
                     "\" is no CA's certificate")};
  }
  return Ok{};
}

std::optional<std::string> pem_of_der(std::string_view label, std::string_view der, size_t most) {
  std::string out;
  size_t count = 0;
  while (!der.empty()) {
    const size_t size = der_size(der);
    if (size == 0 || count++ == most) {
      tls::wipe(out);
      return std::nullopt;
    }
    append_pem(out, label, der.substr(0, size));
    der.remove_prefix(size);
  }
  if (count == 0) return std::nullopt;
  return out;
}

}  // namespace pillion::certs
