#pragma once
// Reading certificates, keys and revocation lists from PEM text, with errors that name what is
// wrong. Owned pointers to BoringSSL's types, usable without its headers.  Off the data path.

#include <memory>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"

struct x509_st;
struct X509_crl_st;
struct evp_pkey_st;

namespace pillion::tls {

struct FreeOpenssl {
  void operator()(x509_st* p) const noexcept;
  void operator()(X509_crl_st* p) const noexcept;
  void operator()(evp_pkey_st* p) const noexcept;
};
using X509Ptr = std::unique_ptr<x509_st, FreeOpenssl>;
using CrlPtr = std::unique_ptr<X509_crl_st, FreeOpenssl>;
using KeyPtr = std::unique_ptr<evp_pkey_st, FreeOpenssl>;

// At least one; text around the PEM blocks is ignored, as are blocks of other kinds.
Result<std::vector<X509Ptr>> parse_certificates(std::string_view pem);
Result<std::vector<CrlPtr>> parse_crls(std::string_view pem);
// RSA of 2048 bits or more, ECDSA on P-256, P-384 or P-521, Ed25519; not encrypted.
Result<KeyPtr> parse_private_key(std::string_view pem);
// The key belongs to the certificate; in PEM, to the first one.
Status<> check_key_matches(const x509_st& leaf, const evp_pkey_st& key);
Status<> check_key_matches(std::string_view chain_pem, std::string_view key_pem);

}  // namespace pillion::tls
