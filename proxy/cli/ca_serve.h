#pragma once
// `pillion ca serve`: the development CA as a server.  Speaks Istio's CA API
// (istio.v1.auth.IstioCertificateService/CreateCertificate), so that sidecars with
// `certificates: { csr: ... }`, and Istio's own clients, get their certificates from it.
//
// On TCP it shows a certificate of the CA for its names and addresses; a Unix socket is in clear
// text.  Who has a token gets the one identity that the token is for.

#include <chrono>
#include <string>
#include <vector>

namespace pillion::cli {

struct CaServeOptions {
  std::string dir{};                                      // of the CA (ca.h)
  std::string listen = "127.0.0.1:15012";                 // or "unix:/run/ca.sock"
  std::string token_file{};                               // lines of SPIFFE-ID TOKEN
  bool insecure_any_token = false;                        // instead of it: see certs/ca_tokens.h
  std::chrono::nanoseconds ttl = std::chrono::hours(24);  // the longest life of a certificate
  std::vector<std::string> dns{};  // names of its own certificate, beside localhost
};

// Until SIGTERM or SIGINT.  One line on standard output when it listens, with the address (port 0
// is resolved).  The exit status: 0, or 1 after one line on standard error that says what to do.
int run_ca_serve(const CaServeOptions& options);

}  // namespace pillion::cli
