#pragma once
// Fields that must not stand behind a body, in any version of HTTP.

#include "proxy/http/headers.h"

namespace pillion::http {

// Framing, routing, identity and what changes how a body is read (RFC 9110, 6.5.1): a receiver that
// merges trailers into its fields would take these from a place that nobody checked.
constexpr bool is_forbidden_in_trailers(HeaderId id) noexcept {
  switch (id) {
    case HeaderId::kAuthorization:
    case HeaderId::kConnection:
    case HeaderId::kContentEncoding:
    case HeaderId::kContentLength:
    case HeaderId::kContentType:
    case HeaderId::kCookie:
    case HeaderId::kExpect:
    case HeaderId::kHost:
    case HeaderId::kKeepAlive:
    case HeaderId::kProxyAuthorization:
    case HeaderId::kProxyConnection:
    case HeaderId::kTe:
    case HeaderId::kTrailer:
    case HeaderId::kTransferEncoding:
    case HeaderId::kUpgrade:
    case HeaderId::kXForwardedClientCert:
    case HeaderId::kXForwardedFor:
    case HeaderId::kXForwardedHost:
    case HeaderId::kXForwardedProto:
      return true;
    default:
      return false;
  }
}

}  // namespace pillion::http
