#pragma once
// Why BoringSSL gave up, as a person would say it.

#include <cstdint>
#include <string>

#include "proxy/tls/context_config.h"

namespace pillion::tls {

struct SslError {
  // The alert that the peer sent, 0 if the error was found by us.
  uint8_t peer_alert = 0;
  bool no_certificate = false;   // of a client that must have one
  bool bad_certificate = false;  // one that BoringSSL refused before our verifier saw it
  std::string text;
};

// Reads and empties this thread's error queue; `role` is ours.
SslError take_ssl_error(Role role);

// Alerts by which a peer says that it does not accept our certificate (or the lack of one): with
// TLS 1.3 a client learns of it only after its side of the handshake is done.
bool is_certificate_alert(uint8_t alert) noexcept;

}  // namespace pillion::tls
