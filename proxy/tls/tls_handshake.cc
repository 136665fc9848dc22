// The handshake of a TlsTransport: steps, its end, its failures.

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "proxy/base/log.h"
#include "proxy/tls/reason.h"
#include "proxy/tls/resumption.h"
#include "proxy/tls/tls_transport.h"

namespace pillion::tls {
namespace {

// After a fatal alert at most this much of what the peer still sends is thrown away, so that the
// alert is not destroyed by a reset (unread bytes make close() send one).
constexpr size_t kDiscardBytes = 64 * 1024;

void discard_input(io::Transport& lower) {
  char sink[8 * 1024];
  for (size_t n = 0; n < kDiscardBytes;) {
    const io::IoResult r = lower.read(sink, sizeof sink);
    if (r.status != io::IoStatus::kOk || r.bytes < sizeof sink) return;
    n += r.bytes;
  }
}

}  // namespace

void TlsTransport::on_connected() {
  if (state_ == State::kHandshake) request_step();
}

void TlsTransport::on_readable() {
  switch (state_) {
    case State::kHandshake:
      return request_step();
    case State::kOpen:
      return observer_->on_readable();
    case State::kFailed:
    case State::kClosed:
      return;
  }
}

void TlsTransport::request_step() {
  if (HandshakeQueue::of_thread().admit(loop_, *this)) advance_handshake();
}

void TlsTransport::run_handshake() {
  if (state_ == State::kHandshake) advance_handshake();
}

void TlsTransport::advance_handshake() {
  Channel& channel = Channel::of_thread();
  channel.begin(ends(), 16 * 1024);
  const int r = SSL_do_handshake(ssl_);
  const bool all_read = channel.is_drained();
  const bool eof = channel.saw_eof();
  const bool sent = channel.end();
  if (r != 1) {
    const int error = SSL_get_error(ssl_, r);
    if (sent && !eof && (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)) return;
    return fail_handshake();
  }
  finish_handshake();
  announce_open(all_read);
}

// Tells the owner, and catches up with what it asked for during the handshake.
void TlsTransport::announce_open(bool all_read) {
  for (unsigned bit = 1; bit <= paused_; bit <<= 1) {
    if ((paused_ & bit) != 0) lower_->pause(static_cast<io::PauseReason>(bit));
  }
  observer_->on_connected();
  if (state_ == State::kOpen && write_wanted_ && unsent_.empty()) observer_->on_writable();
  if (state_ == State::kOpen && fin_wanted_) shutdown_write();
  // A client's first request often comes in the same packet as the end of its handshake.
  if (state_ == State::kOpen && (!all_read || has_unread())) lower_->read_again();
}

void TlsTransport::finish_handshake() {
  state_ = State::kOpen;
  if (is_server() && SSL_session_reused(ssl_)) identity_ = std::move(handshake_->resumed);
  Resumption::keep(*this);
  const bool has_certificate = identity_ != nullptr;
  if (!has_certificate) identity_ = make_identity(nullptr, handshake_->sni);
  io::PeerIdentity& id = *identity_;
  const Context::Identity* local = handshake_->local;
  if (local == nullptr && !context_->identities().empty()) local = &context_->identities().front();
  if (local != nullptr) set_local(id, *local);
  const uint8_t* alpn = nullptr;
  unsigned alpn_size = 0;
  SSL_get0_alpn_selected(ssl_, &alpn, &alpn_size);
  if (alpn_size != 0) id.alpn = {reinterpret_cast<const char*>(alpn), alpn_size};
  id.tls_version = SSL_get_version(ssl_);
  const char* cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(ssl_));
  id.cipher = cipher;
  if (const char* group = SSL_get_group_name(SSL_get_group_id(ssl_))) id.group = group;
  unsigned session_id_size = 0;
  const uint8_t* session_id = SSL_SESSION_get_id(SSL_get_session(ssl_), &session_id_size);
  id.session_id = {reinterpret_cast<const char*>(session_id), session_id_size};
  handshake_.reset();
  count([&](auto& stats) {
    stats.handshake.inc();
    if (!has_certificate) stats.no_certificate.inc();
    if (SSL_session_reused(ssl_)) stats.session_reused.inc();
    stats.versions.inc(id.tls_version.data());
    stats.ciphers.inc(cipher);
    // Static RSA key exchange has no group, a peer without a certificate no signature.
    if (!id.group.empty()) stats.curves.inc(id.group.data());
    const uint16_t sigalg = SSL_get_peer_signature_algorithm(ssl_);
    if (const char* name = SSL_get_signature_algorithm_name(sigalg, 1)) stats.sigalgs.inc(name);
  });
}

void TlsTransport::fail_handshake() {
  state_ = State::kFailed;
  identity_.reset();  // was shown, but not proven
  const Channel& channel = Channel::of_thread();
  const bool lost = channel.saw_error();
  const bool eof = channel.saw_eof();
  SslError error = take_ssl_error(context_->role());
  Handshake& h = *handshake_;
  const FailureKind kind = is_server() ? FailureKind::kHandshakeFailed : FailureKind::kTlsFailed;
  if (error.bad_certificate && h.outcome == Verifier::Outcome::kOk) {
    h.outcome = Verifier::Outcome::kChain;
  }
  if (!h.reason.empty()) error.text = std::move(h.reason);
  if (eof) error.text = "the peer closed the connection during the TLS handshake";
  if (lost) error.text = "the connection broke during the TLS handshake";
  set_failure(kind, lost ? lower_->failure().detail : error.peer_alert, std::move(error.text));
  count_handshake_failure(error.no_certificate);
  log_handshake_failure();
  handshake_.reset();
  if (!lost) {
    fin_wanted_ = true;
    flush_unsent();
    if (!eof) discard_input(*lower_);
  }
  observer_->on_closed(failure_);
}

// Of a client: an upstream's is told by its pool.
void TlsTransport::log_handshake_failure() const {
  if (handshake_->peer.kind() == io::Address::Kind::kNone) return;
  static log::Limit limit{std::chrono::seconds(1)};
  log::warning(
      limit, log::kTls, "handshake with a client failed",
      {{"peer", handshake_->peer}, {"sni", handshake_->sni}, {"reason", failure_reason()}});
}

void TlsTransport::count_handshake_failure(bool no_certificate) {
  count([&](auto& stats) {
    if (no_certificate) return stats.fail_verify_no_cert.inc();
    switch (handshake_->outcome) {
      case Verifier::Outcome::kOk:
        return stats.connection_error.inc();
      case Verifier::Outcome::kChain:
        return stats.fail_verify_error.inc();
      case Verifier::Outcome::kSan:
        return stats.fail_verify_san.inc();
      case Verifier::Outcome::kHash:
        return stats.fail_verify_cert_hash.inc();
    }
  });
}

}  // namespace pillion::tls
