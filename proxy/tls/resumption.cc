#include "proxy/tls/resumption.h"

#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>

#include <cstring>
#include <utility>

#include "proxy/base/clock.h"
#include "proxy/tls/tls_transport.h"
#include "proxy/tls/x509_info.h"

namespace pillion::tls {
namespace {

// A ticket holds, sealed: when the peer proved its key (seconds since 1970), and the session.
constexpr size_t kTimeBytes = sizeof(int64_t);
// Of a longer one no ticket is made: the client would have to send it in its ClientHello.
constexpr size_t kMostSessionBytes = 8 * 1024;

std::span<const uint8_t> bytes(const uint8_t* from, size_t size) { return {from, size}; }

}  // namespace

struct ResumptionCallbacks {
  static TlsTransport& transport(const SSL* ssl) {
    return *static_cast<TlsTransport*>(SSL_get_app_data(ssl));
  }

  static size_t max_overhead(SSL*) { return TicketKeyring::kOverhead + kTimeBytes; }

  static int seal(SSL* ssl, uint8_t* out, size_t* out_size, size_t room, const uint8_t* in,
                  size_t size) {
    *out_size = 0;  // no ticket
    const size_t total = size + max_overhead(ssl);
    if (size > kMostSessionBytes || total > room) return 1;
    const TlsTransport& t = transport(ssl);
    const TlsTransport::Handshake& h = *t.handshake_;
    const int64_t proven_at = SSL_session_reused(ssl) ? h.proven_at : unix_seconds();
    uint8_t* text = out + TicketKeyring::kTextOffset;
    std::memcpy(text, &proven_at, kTimeBytes);
    std::memcpy(text + kTimeBytes, in, size);
    if (t.context_->tickets()->seal({out, total}, h.sni, MonotonicClock::now())) *out_size = total;
    return 1;
  }

  static ssl_ticket_aead_result_t open(SSL* ssl, uint8_t* out, size_t* out_size, size_t room,
                                       const uint8_t* in, size_t size) {
    if (size > room) return ssl_ticket_aead_ignore_ticket;
    TlsTransport& t = transport(ssl);
    const auto text =
        t.context_->tickets()->open(bytes(in, size), t.handshake_->sni, MonotonicClock::now(), out);
    if (!text || *text < kTimeBytes) return ssl_ticket_aead_ignore_ticket;
    int64_t proven_at;
    std::memcpy(&proven_at, out, kTimeBytes);
    *out_size = *text - kTimeBytes;
    std::memmove(out, out + kTimeBytes, *out_size);
    return is_good(t, proven_at, bytes(out, *out_size)) ? ssl_ticket_aead_success
                                                        : ssl_ticket_aead_ignore_ticket;
  }

  // Would the client be let in with what it has shown before?  BoringSSL compares the rest: session
  // id context, version, cipher suite.
  static bool is_good(TlsTransport& t, int64_t proven_at, std::span<const uint8_t> session_bytes) {
    TlsTransport::Handshake& h = *t.handshake_;
    h.resumed.reset();
    h.proven_at = proven_at;
    const int64_t now = unix_seconds();
    if (proven_at > now || now - proven_at >= t.context_->session_timeout().count()) return false;
    const SessionPtr session(
        SSL_SESSION_from_bytes(session_bytes.data(), session_bytes.size(), t.context_->native()));
    ERR_clear_error();
    if (session == nullptr) return false;
    const STACK_OF(CRYPTO_BUFFER)* chain = SSL_SESSION_get0_peer_certificates(session.get());
    // A client that showed nothing where it need not.
    if (sk_CRYPTO_BUFFER_num(chain) == 0) return true;
    const Verifier::Verdict verdict = t.context_->verifier().verify(*chain, {}, now);
    if (verdict.outcome != Verifier::Outcome::kOk) return false;
    h.resumed = make_identity(verdict.facts, h.sni);
    return true;
  }

  // A server's ticket has come.  1: it is ours.
  static int take_session(SSL* ssl, SSL_SESSION* session) {
    const TlsTransport& t = transport(ssl);
    if (t.session_key_ == nullptr) return 0;
    t.context_->sessions()->put(*t.session_key_, SessionPtr(session));
    return 1;
  }
};

namespace {

constexpr SSL_TICKET_AEAD_METHOD kTicketMethod = {
    ResumptionCallbacks::max_overhead, ResumptionCallbacks::seal, ResumptionCallbacks::open};

}  // namespace

bool issues_tickets(const ContextConfig& config) noexcept {
  return config.role == Role::kServer && config.resumes_sessions &&
         config.ticket_keyring != nullptr;
}

bool keeps_sessions(const ContextConfig& config) noexcept {
  return config.role == Role::kClient && config.max_session_keys > 0;
}

bool set_up_resumption(ssl_ctx_st& ctx, const ContextConfig& config,
                       const Sha256& session_context) {
  SSL_CTX_set_early_data_enabled(&ctx, 0);
  SSL_CTX_set_session_cache_mode(&ctx, SSL_SESS_CACHE_OFF);
  const bool issues = issues_tickets(config);
  const bool keeps = keeps_sessions(config);
  // Without tickets the verifier has taken what we need of a client's chain by the end of the
  // handshake.
  SSL_CTX_set_retain_only_sha256_of_client_certs(&ctx, config.role == Role::kServer && !issues);
  if (!issues && !keeps) {
    SSL_CTX_set_options(&ctx, SSL_OP_NO_TICKET);
    return true;
  }
  if (issues) {
    const auto timeout = static_cast<uint32_t>(config.session_timeout.count());
    SSL_CTX_set_timeout(&ctx, timeout);
    SSL_CTX_set_session_psk_dhe_timeout(&ctx, timeout);
    SSL_CTX_set_ticket_aead_method(&ctx, &kTicketMethod);
    // A client gets a new one on every connection.
    SSL_CTX_set_num_tickets(&ctx, 1);
  }
  if (keeps) {
    SSL_CTX_set_session_cache_mode(&ctx, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(&ctx, ResumptionCallbacks::take_session);
    SSL_CTX_set_reverify_on_resume(&ctx, 1);
  }
  return SSL_CTX_set_session_id_context(&ctx, session_context.data(), session_context.size()) == 1;
}

void Resumption::offer(TlsTransport& t) {
  const TlsTransport::Handshake& h = *t.handshake_;
  while (const SessionPtr session = t.context_->sessions()->take(*t.session_key_)) {
    // BoringSSL verifies it again when the server agrees, and would give up then.
    const STACK_OF(CRYPTO_BUFFER)* chain = SSL_SESSION_get0_peer_certificates(session.get());
    if (sk_CRYPTO_BUFFER_num(chain) == 0) continue;
    const auto verdict = t.context_->verifier().verify(*chain, h.expected_name, unix_seconds());
    if (verdict.outcome != Verifier::Outcome::kOk) continue;
    SSL_set_session(t.ssl_, session.get());
    return;
  }
}

void Resumption::keep(TlsTransport& t) {
  if (t.session_key_ == nullptr || !SSL_session_reused(t.ssl_)) return;
  SessionPtr session(SSL_get1_session(t.ssl_));
  if (session == nullptr || SSL_SESSION_should_be_single_use(session.get())) return;
  t.context_->sessions()->put(*t.session_key_, std::move(session));
}

}  // namespace pillion::tls
