#include "proxy/tls/x509_info.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/mem.h>
#include <openssl/sha2.h>
#include <openssl/x509.h>

#include <algorithm>
#include <ctime>

#include "proxy/base/ascii.h"
#include "proxy/tls/pem.h"

namespace pillion::tls {
namespace {

bool is_printable(std::string_view text) noexcept {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  return true;
}

std::string_view view(const ASN1_STRING* s) noexcept {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(s)),
          static_cast<size_t>(ASN1_STRING_length(s))};
}

std::string ip_text(std::string_view raw) {
  char out[INET6_ADDRSTRLEN];
  if (raw.size() == 4) return inet_ntop(AF_INET, raw.data(), out, sizeof out);
  if (raw.size() == 16) return inet_ntop(AF_INET6, raw.data(), out, sizeof out);
  return {};
}

int64_t posix_time(const ASN1_TIME* t) noexcept {
  int64_t seconds = 0;
  return ASN1_TIME_to_posix(t, &seconds) == 1 ? seconds : 0;
}

std::string serial_hex(const ASN1_INTEGER* serial) { return hex(view(serial)); }

bool is_authority(const x509_st& certificate) {
  bssl::UniquePtr<BASIC_CONSTRAINTS> basic(static_cast<BASIC_CONSTRAINTS*>(
      X509_get_ext_d2i(&certificate, NID_basic_constraints, nullptr, nullptr)));
  return basic != nullptr && basic->ca != ASN1_BOOLEAN_FALSE;
}

}  // namespace

std::string hex(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto b = static_cast<unsigned char>(c);
    out += kHexDigits[b >> 4];
    out += kHexDigits[b & 15];
  }
  return out;
}

std::string utc_text(int64_t seconds) {
  const time_t t = seconds;
  tm parts{};
  if (gmtime_r(&t, &parts) == nullptr) return "?";
  char out[32];
  return {out, strftime(out, sizeof out, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

int64_t unix_seconds() noexcept {
  return std::chrono::duration_cast<std::chrono::seconds>(wall_now().time_since_epoch()).count();
}

WallTime wall_time(int64_t seconds) noexcept {
  constexpr int64_t kMost = 9'000'000'000;  // the year 2255
  return WallTime(std::chrono::seconds(std::clamp<int64_t>(seconds, -kMost, kMost)));
}

std::string name_text(const X509_name_st* name) {
  bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  if (!out || X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253) < 0) return {};
  const uint8_t* data = nullptr;
  size_t size = 0;
  if (!BIO_mem_contents(out.get(), &data, &size)) return {};
  return {reinterpret_cast<const char*>(data), size};
}

std::vector<San> subject_alt_names(const x509_st& certificate) {
  std::vector<San> sans;
  bssl::UniquePtr<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (!names) return sans;
  const auto add = [&sans](SanType type, std::string_view text) {
    if (!text.empty() && is_printable(text)) sans.push_back({type, std::string(text)});
  };
  for (const GENERAL_NAME* name : names.get()) {
    switch (name->type) {
      case GEN_URI:
        add(SanType::kUri, view(name->d.uniformResourceIdentifier));
        break;
      case GEN_DNS:
        add(SanType::kDns, view(name->d.dNSName));
        break;
      case GEN_EMAIL:
        add(SanType::kEmail, view(name->d.rfc822Name));
        break;
      case GEN_IPADD:
        add(SanType::kIp, ip_text(view(name->d.iPAddress)));
        break;
      default:
        break;
    }
  }
  return sans;
}

std::string_view CertificateInfo::first(SanType type) const noexcept {
  for (const San& san : sans) {
    if (san.type == type) return san.text;
  }
  return {};
}

Validity validity_of(const x509_st& certificate) {
  return {posix_time(X509_get0_notBefore(&certificate)),
          posix_time(X509_get0_notAfter(&certificate))};
}

CertificateInfo describe(const x509_st& certificate) {
  CertificateInfo info;
  info.subject = name_text(X509_get_subject_name(&certificate));
  info.issuer = name_text(X509_get_issuer_name(&certificate));
  info.serial = serial_hex(X509_get0_serialNumber(&certificate));
  info.sans = subject_alt_names(certificate);
  const Validity validity = validity_of(certificate);
  info.not_before = validity.not_before;
  info.not_after = validity.not_after;
  info.is_ca = is_authority(certificate);
  uint8_t digest[32];
  unsigned size = sizeof digest;
  if (X509_digest(&certificate, EVP_sha256(), digest, &size)) {
    info.sha256 = hex({reinterpret_cast<const char*>(digest), size});
  }
  return info;
}

Result<std::vector<CertificateInfo>> describe_pem(std::string_view pem) {
  auto certificates = parse_certificates(pem);
  if (!certificates) return Error{certificates.error()};
  std::vector<CertificateInfo> infos;
  for (const X509Ptr& c : *certificates) infos.push_back(describe(*c));
  return infos;
}

}  // namespace pillion::tls
