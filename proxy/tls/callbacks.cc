#include "proxy/tls/callbacks.h"

#include <openssl/ssl.h>

#include "proxy/base/ascii.h"
#include "proxy/tls/tls_transport.h"
#include "proxy/tls/x509_info.h"

namespace pillion::tls {

struct Callbacks {
  static TlsTransport& transport(const SSL* ssl) {
    return *static_cast<TlsTransport*>(SSL_get_app_data(ssl));
  }

  static ssl_verify_result_t verify(SSL* ssl, uint8_t* alert) {
    TlsTransport& t = transport(ssl);
    TlsTransport::Handshake& h = *t.handshake_;
    const STACK_OF(CRYPTO_BUFFER)* chain = SSL_get0_peer_certificates(ssl);
    if (chain == nullptr || sk_CRYPTO_BUFFER_num(chain) == 0) return ssl_verify_ok;
    Verifier::Verdict verdict =
        t.context_->verifier().verify(*chain, h.expected_name, unix_seconds());
    if (verdict.outcome != Verifier::Outcome::kOk) {
      h.outcome = verdict.outcome;
      h.reason = std::move(verdict.reason);
      *alert = verdict.alert;
      return ssl_verify_invalid;
    }
    t.identity_ = make_identity(verdict.facts, h.sni);
    return ssl_verify_ok;
  }

  static ssl_select_cert_result_t client_hello(const SSL_CLIENT_HELLO* hello) {
    TlsTransport& t = transport(hello->ssl);
    TlsTransport::Handshake& h = *t.handshake_;
    // Names of hosts have no case (RFC 6066, 3); policies and logs compare texts.
    if (const char* sni = SSL_get_servername(hello->ssl, TLSEXT_NAMETYPE_host_name))
      h.sni = lowered(sni);
    if (h.sni.empty() && t.context_->requires_sni()) {
      h.reason = "the client sent no server name (SNI), and one is required";
      return ssl_select_cert_error;
    }
    const uint8_t* request = nullptr;
    size_t size = 0;
    const bool wants_staple = SSL_early_callback_ctx_extension_get(
                                  hello, TLSEXT_TYPE_status_request, &request, &size) == 1;
    const auto selection =
        t.context_->select_certificates(*hello->ssl, h.sni, wants_staple, unix_seconds());
    if (wants_staple && t.listener_stats_ != nullptr) count_stapling(*t.listener_stats_, selection);
    if (selection == Context::Selection::kLacksStaple) {
      h.reason = "no certificate has the valid OCSP response that its policy demands";
    }
    return selection == Context::Selection::kFailed || selection == Context::Selection::kLacksStaple
               ? ssl_select_cert_error
               : ssl_select_cert_success;
  }

  static void count_stapling(stats::ListenerTlsStats& stats, Context::Selection selection) {
    stats.ocsp_staple_requests.inc();
    if (selection == Context::Selection::kStapled) stats.ocsp_staple_responses.inc();
    if (selection == Context::Selection::kPlain) stats.ocsp_staple_omitted.inc();
    if (selection == Context::Selection::kLacksStaple) stats.ocsp_staple_failed.inc();
  }

  // Our order of preference decides.  Without a common protocol the connection goes on without
  // ALPN.
  static int select_alpn(SSL* ssl, const uint8_t** out, uint8_t* out_size, const uint8_t* offered,
                         unsigned offered_size, void*) {
    const std::string_view ours = transport(ssl).context_->alpn_wire();
    uint8_t* selected = nullptr;
    const int found =
        SSL_select_next_proto(&selected, out_size, reinterpret_cast<const uint8_t*>(ours.data()),
                              static_cast<unsigned>(ours.size()), offered, offered_size);
    *out = selected;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
  }

  static void log_key(const SSL* ssl, const char* line) {
    const TlsTransport& t = transport(ssl);
    t.context_->key_log()->write(*t.lower_, line);
  }

  // Which of several certificates was used is known only while the handshake lasts.
  static void info(const SSL* ssl, int type, int) {
    if (type != SSL_CB_HANDSHAKE_DONE) return;
    TlsTransport& t = transport(ssl);
    t.handshake_->local = t.context_->identity_of(SSL_get0_selected_credential(ssl));
  }
};

void install_callbacks(ssl_ctx_st& ctx, const ContextConfig& config) {
  int mode = SSL_VERIFY_PEER;
  if (config.role == Role::kServer) {
    if (!config.validation && !config.require_client_certificate) mode = SSL_VERIFY_NONE;
    if (config.require_client_certificate) mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_select_certificate_cb(&ctx, Callbacks::client_hello);
    if (!config.alpn.empty()) SSL_CTX_set_alpn_select_cb(&ctx, Callbacks::select_alpn, nullptr);
  }
  if (config.key_log) SSL_CTX_set_keylog_callback(&ctx, Callbacks::log_key);
  SSL_CTX_set_custom_verify(&ctx, mode, Callbacks::verify);
  if (config.certificates.size() > 1) SSL_CTX_set_info_callback(&ctx, Callbacks::info);
}

}  // namespace pillion::tls
