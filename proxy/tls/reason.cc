#include "proxy/tls/reason.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "proxy/base/str.h"

namespace pillion::tls {
namespace {

constexpr int kAlertBase = 1000;  // SSL_R_..._ALERT_... are 1000 + alert

std::string_view explain(int reason, Role role) {
  switch (reason) {
    case SSL_R_HTTP_REQUEST:
      return "the client speaks plain HTTP on a TLS port";
    case SSL_R_HTTPS_PROXY_REQUEST:
      return "the client sent a proxy's CONNECT on a TLS port";
    case SSL_R_WRONG_VERSION_NUMBER:
      return role == Role::kServer ? "the client does not speak TLS"
                                   : "the server does not speak TLS (is the port plain text?)";
    case SSL_R_UNSUPPORTED_PROTOCOL:
      return "the peer offers no TLS version that is enabled here";
    case SSL_R_NO_SHARED_CIPHER:
      return "no common cipher suite";
    case SSL_R_NO_SHARED_GROUP:
      return "no common key exchange group";
    case SSL_R_NO_COMMON_SIGNATURE_ALGORITHMS:
      return "the peer supports no signature algorithm of our key";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return "the client sent no certificate, and one is required";
    case SSL_R_NO_RENEGOTIATION:
      return "the peer asked for renegotiation, which is never done";
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
      return "a record was damaged on its way";
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
      return "the peer's handshake message is too large (certificates: 64 KiB at most)";
    case SSL_R_CANNOT_PARSE_LEAF_CERT:
      return "the peer's certificate is malformed";
    case SSL_R_KEY_USAGE_BIT_INCORRECT:
      return "the key usage of the peer's certificate does not permit TLS";
    default:
      return {};
  }
}

bool is_about_certificate(int reason) noexcept {
  switch (reason) {
    case SSL_R_KEY_USAGE_BIT_INCORRECT:
    case SSL_R_CANNOT_PARSE_LEAF_CERT:
    case SSL_R_WRONG_CERTIFICATE_TYPE:
    case SSL_R_UNKNOWN_CERTIFICATE_TYPE:
      return true;
    default:
      return false;
  }
}

// "BAD_SIGNATURE" -> "bad signature"
std::string to_lower_words(std::string_view name) {
  std::string out;
  for (const char c : name) out += c == '_' ? ' ' : to_lower(c);
  return out;
}

}  // namespace

SslError take_ssl_error(Role role) {
  SslError out;
  // The first entry of the SSL library names the cause; what follows is its echo on the way up.
  while (const uint32_t error = ERR_get_error()) {
    const int reason = ERR_GET_REASON(error);
    if (!out.text.empty() || ERR_GET_LIB(error) != ERR_LIB_SSL) continue;
    if (reason > kAlertBase && reason < kAlertBase + 256) {
      out.peer_alert = static_cast<uint8_t>(reason - kAlertBase);
      out.text =
          str("the peer sent the alert \"", SSL_alert_desc_string_long(out.peer_alert), "\"");
      continue;
    }
    out.no_certificate = reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE;
    out.bad_certificate = is_about_certificate(reason);
    out.text = explain(reason, role);
    if (!out.text.empty()) continue;
    const char* raw = ERR_reason_error_string(error);
    out.text = raw == nullptr ? "unknown error" : to_lower_words(raw);
  }
  if (out.text.empty()) out.text = "unknown error";
  return out;
}

bool is_certificate_alert(uint8_t alert) noexcept {
  switch (alert) {
    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
    case SSL_AD_DECRYPT_ERROR:
    case SSL_AD_CERTIFICATE_REQUIRED:
      return true;
    default:
      return false;
  }
}

}  // namespace pillion::tls
