#pragma once
// CaService: what the development CA (`pillion ca serve`) answers to CreateCertificate.  Decides
// alone: nothing here knows of connections.
//
// A caller shows a bearer token, and gets a certificate for the one SPIFFE id that it is for; what
// the request asks for beside its key is not looked at, but for a shorter life.
//
// Immutable; one thread.

#include <cstdint>
#include <string>
#include <string_view>

#include "certs/ca_tokens.h"
#include "proxy/base/clock.h"
#include "proxy/tls/issue.h"

namespace pillion::certs {

struct CaAuthority {
  tls::Issued files;  // certificate and key, PEM
  int64_t not_before = 0;
  int64_t not_after = 0;
};

class CaService {
 public:
  struct Reply {
    uint32_t status = 0;   // of gRPC
    std::string message;   // what grpc-message says, if it is not OK
    std::string response;  // encoded IstioCertificateResponse
    std::string identity;  // who it was, for the log; empty: nobody known
    int64_t life_s = 0;    // of the certificate
  };

  CaService(CaAuthority ca, CaTokens tokens, std::chrono::seconds longest_life)
      : ca_(std::move(ca)), tokens_(std::move(tokens)), longest_life_(longest_life) {}

  // `authorization`: the value of that field; `request`: an encoded IstioCertificateRequest; `now`:
  // seconds since 1970.
  [[nodiscard]] Reply create_certificate(std::string_view authorization, std::string_view request,
                                         int64_t now) const;

 private:
  CaAuthority ca_;
  CaTokens tokens_;
  std::chrono::seconds longest_life_;
};

}  // namespace pillion::certs
