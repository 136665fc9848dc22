#pragma once
// What certificates say, as values: for the verifier, the peer's identity and /certs.
//
// Names that carry NUL or other control bytes are dropped: no honest certificate has them, and they
// fool readers of C strings and of logs.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/result.h"
#include "proxy/tls/san_matcher.h"

struct x509_st;
struct X509_name_st;

namespace pillion::tls {

struct CertificateInfo {
  std::string subject;  // RFC 2253: "CN=users,O=shop"
  std::string issuer;
  std::string serial;  // lower-case hex
  std::string sha256;  // fingerprint, lower-case hex
  std::vector<San> sans;
  int64_t not_before = 0;  // seconds since 1970
  int64_t not_after = 0;
  bool is_ca = false;

  // The first SAN of a type, or "".
  [[nodiscard]] std::string_view first(SanType type) const noexcept;
};

// When a certificate begins and ends, in seconds since 1970; a look at two fields.
struct Validity {
  int64_t not_before = 0;
  int64_t not_after = 0;
};

CertificateInfo describe(const x509_st& certificate);
Validity validity_of(const x509_st& certificate);
// Each certificate of a PEM text in order.
Result<std::vector<CertificateInfo>> describe_pem(std::string_view pem);

std::string name_text(const X509_name_st* name);
std::vector<San> subject_alt_names(const x509_st& certificate);
std::string hex(std::string_view bytes);
// "2026-11-24T14:42:06Z"
std::string utc_text(int64_t seconds);
// Years that nanoseconds cannot hold (a certificate may name any, 9999 is in use) are cut.
WallTime wall_time(int64_t seconds) noexcept;
// Now, as certificates count time: seconds since 1970.
int64_t unix_seconds() noexcept;

}  // namespace pillion::tls
