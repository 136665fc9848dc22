#include "proxy/tls/tls_transport.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "proxy/base/assert.h"
#include "proxy/tls/reason.h"
#include "proxy/tls/resumption.h"

namespace pillion::tls {

TlsTransport::TlsTransport(io::Loop& loop, std::unique_ptr<io::Transport> lower,
                           std::shared_ptr<const Context> context, const Options& options)
    : loop_(loop),
      lower_(std::move(lower)),
      context_(std::move(context)),
      ssl_(SSL_new(context_->native())),
      handshake_(std::make_unique<Handshake>()),
      listener_stats_(options.listener_stats),
      cluster_stats_(options.cluster_stats) {
  ASSERT(ssl_ != nullptr);
  SSL_set_app_data(ssl_, this);
  const Channel& channel = Channel::of_thread();
  SSL_set0_rbio(ssl_, channel.bio_ref());
  SSL_set0_wbio(ssl_, channel.bio_ref());
  SSL_set_shed_handshake_config(ssl_, 1);
  handshake_->peer = options.peer;
  if (is_server()) {
    SSL_set_accept_state(ssl_);
  } else {
    configure_client(options);
  }
}

TlsTransport::~TlsTransport() {
  close();
  SSL_free(ssl_);
}

void TlsTransport::configure_client(const Options& options) {
  SSL_set_connect_state(ssl_);
  Handshake& h = *handshake_;
  h.sni = options.sni.empty() ? std::string_view(context_->sni()) : options.sni;
  h.expected_name = options.expected_name;
  if (h.expected_name.empty() && context_->verifies_names_by_sni()) {
    // Without a name to look for none may do; "." is in no certificate.
    h.expected_name = h.sni.empty() ? "." : h.sni;
  }
  // SNI is for names only (RFC 6066, 3).
  if (!h.sni.empty() && canonical_ip(h.sni).empty()) SSL_set_tlsext_host_name(ssl_, h.sni.c_str());
  if (!options.alpn_wire.empty()) {
    SSL_set_alpn_protos(ssl_, reinterpret_cast<const uint8_t*>(options.alpn_wire.data()),
                        options.alpn_wire.size());
  }
  if (context_->sessions() != nullptr) {
    session_key_ = std::make_unique<const SessionStore::Key>(
        SessionStore::key_of(options.server, h.sni, h.expected_name));
    Resumption::offer(*this);
  }
}

void TlsTransport::start(io::TransportObserver& observer) {
  observer_ = &observer;
  lower_->start(*this);
  // An accepted socket does not announce itself; the ClientHello is mostly there already.  To a
  // second observer the lower transport says nothing of what has already left it.
  if (state_ == State::kOpen ? has_unread() : is_server()) lower_->read_again();
}

io::IoResult TlsTransport::read(char* to, size_t capacity) {
  if (read_end_ != io::IoStatus::kOk) return {0, read_end_};
  if (state_ == State::kFailed) return {0, io::IoStatus::kError};
  if (state_ != State::kOpen || capacity == 0) return {0, io::IoStatus::kAgain};
  Channel& channel = Channel::of_thread();
  channel.begin(ends(), capacity);
  size_t n = 0;
  io::IoStatus end = io::IoStatus::kOk;
  while (n < capacity) {
    const int room = static_cast<int>(std::min<size_t>(capacity - n, INT_MAX));
    const int r = SSL_read(ssl_, to + n, room);
    if (r <= 0) {
      end = classify_read_end(r);
      break;
    }
    n += static_cast<size_t>(r);
  }
  channel.end();
  if (n == 0) return {0, end};
  received_data_ = true;
  // What is left, or how it ended, is told by another on_readable.
  if (has_unread()) lower_->read_again();
  return {n, io::IoStatus::kOk};
}

bool TlsTransport::has_unread() const noexcept {
  return !unread_.empty() || read_end_ != io::IoStatus::kOk || SSL_pending(ssl_) > 0;
}

io::IoStatus TlsTransport::classify_read_end(int result) {
  const Channel& channel = Channel::of_thread();
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return io::IoStatus::kAgain;
    case SSL_ERROR_ZERO_RETURN:
      return read_end_ = io::IoStatus::kEof;
    case SSL_ERROR_SYSCALL:
      ERR_clear_error();
      if (channel.saw_eof()) {
        return fail_read(
            is_server() ? FailureKind::kDownstreamClosed : FailureKind::kUpstreamTruncated, 0,
            "the connection ended without close_notify");
      }
      return fail_read(lower_->failure().kind, lower_->failure().detail,
                       std::string(lower_->failure_reason()));
    default:
      break;
  }
  SslError error = take_ssl_error(context_->role());
  count([](auto& stats) { stats.connection_error.inc(); });
  FailureKind kind = is_server() ? FailureKind::kDownstreamReset : FailureKind::kUpstreamReset;
  // A TLS 1.3 server judges our certificate after we think that the handshake is over.
  if (!is_server() && !received_data_ && is_certificate_alert(error.peer_alert)) {
    kind = FailureKind::kTlsFailed;
  }
  return fail_read(kind, error.peer_alert, std::move(error.text));
}

io::IoStatus TlsTransport::fail_read(FailureKind kind, int detail, std::string reason) {
  set_failure(kind, detail, std::move(reason));
  return read_end_ = io::IoStatus::kError;
}

void TlsTransport::set_failure(FailureKind kind, int detail, std::string reason) {
  failure_ = {kind == FailureKind::kNone ? FailureKind::kInternal : kind, detail};
  if (!reason.empty()) reason_ = std::make_unique<std::string>(std::move(reason));
}

std::string_view TlsTransport::failure_reason() const noexcept {
  if (reason_ != nullptr) return *reason_;
  return lower_->failure_reason();
}

io::IoResult TlsTransport::write(const iovec* pieces, int count) {
  if (state_ == State::kFailed || failure_) return {0, io::IoStatus::kError};
  if (state_ == State::kHandshake) write_wanted_ = true;
  if (state_ != State::kOpen || !unsent_.empty()) return {0, io::IoStatus::kAgain};
  Channel& channel = Channel::of_thread();
  channel.begin(ends(), 0);
  size_t taken = 0;
  const bool sealed = seal(pieces, count, taken);
  const bool sent = channel.end();
  if (!sent) {
    set_failure(lower_->failure().kind, lower_->failure().detail, {});
    return {0, io::IoStatus::kError};
  }
  if (!sealed) {
    SslError error = take_ssl_error(context_->role());
    set_failure(FailureKind::kInternal, 0, std::move(error.text));
    return {0, io::IoStatus::kError};
  }
  return {taken, taken == 0 ? io::IoStatus::kAgain : io::IoStatus::kOk};
}

// Encrypts pieces in order until all are taken or the lower transport has had enough.
bool TlsTransport::seal(const iovec* pieces, int count, size_t& taken) {
  Channel& channel = Channel::of_thread();
  size_t offset = 0;  // in the first piece
  int i = 0;
  while (true) {
    while (i < count && offset == pieces[i].iov_len) {
      ++i;
      offset = 0;
    }
    if (i == count) return true;
    // One record: a long piece as it lies, short ones copied together.
    const char* from = static_cast<const char*>(pieces[i].iov_base) + offset;
    size_t size = std::min(pieces[i].iov_len - offset, Channel::kStagingBytes);
    offset += size;
    if (size < Channel::kStagingBytes && i + 1 < count) {
      std::memcpy(channel.staging(), from, size);
      from = channel.staging();
      while (size < Channel::kStagingBytes && ++i < count) {
        offset = std::min(pieces[i].iov_len, Channel::kStagingBytes - size);
        // An empty piece may have no address.
        if (offset != 0) std::memcpy(channel.staging() + size, pieces[i].iov_base, offset);
        size += offset;
      }
      if (i == count) offset = 0;
    }
    if (!channel.has_room_for_record() && !channel.send()) return true;
    if (SSL_write(ssl_, from, static_cast<int>(size)) != static_cast<int>(size)) return false;
    taken += size;
  }
}

size_t TlsTransport::pending_write() const noexcept {
  return unsent_.size() + lower_->pending_write();
}

void TlsTransport::flush_unsent() {
  while (!unsent_.empty()) {
    iovec pieces[16];
    const int n = unsent_.iovecs(pieces, 16);
    const io::IoResult r = lower_->write(pieces, n);
    if (r.status == io::IoStatus::kError) {
      unsent_.clear();
      set_failure(lower_->failure().kind, lower_->failure().detail, {});
      return;
    }
    if (r.bytes == 0) return;
    unsent_.consume(r.bytes);
  }
  if (fin_wanted_ && state_ != State::kHandshake) {
    fin_wanted_ = false;
    lower_->shutdown_write();
  }
}

void TlsTransport::on_writable() {
  if (state_ == State::kClosed) return;
  flush_unsent();
  if (state_ == State::kOpen && (unsent_.empty() || failure_)) observer_->on_writable();
}

void TlsTransport::send_close_notify() {
  if (state_ != State::kOpen || failure_) return;
  if ((SSL_get_shutdown(ssl_) & SSL_SENT_SHUTDOWN) != 0) return;
  Channel& channel = Channel::of_thread();
  channel.begin(ends(), 0);
  SSL_shutdown(ssl_);
  channel.end();
  ERR_clear_error();
}

void TlsTransport::shutdown_write() {
  if (state_ == State::kClosed) return;
  fin_wanted_ = true;
  if (state_ == State::kHandshake) return;  // finish_handshake() comes back to it
  send_close_notify();
  flush_unsent();
}

void TlsTransport::close(CloseMode mode) {
  if (state_ == State::kClosed) return;
  if (mode == CloseMode::kOrderly && unsent_.empty()) send_close_notify();
  state_ = State::kClosed;
  observer_ = nullptr;
  ListNode<HandshakeTag>::unlink();
  unread_.clear();
  unsent_.clear();
  lower_->close(mode);
}

void TlsTransport::pause(io::PauseReason reason) {
  paused_ |= static_cast<uint8_t>(reason);
  // The handshake goes on; its end pauses the lower transport for what was asked meanwhile.
  if (state_ != State::kHandshake) lower_->pause(reason);
}

void TlsTransport::resume(io::PauseReason reason) {
  if (paused_ == 0) return;
  paused_ &= static_cast<uint8_t>(~static_cast<uint8_t>(reason));
  lower_->resume(reason);
  // The lower transport knows nothing of what has already left it.
  if (paused_ == 0 && state_ == State::kOpen && has_unread()) lower_->read_again();
}

void TlsTransport::read_again() {
  // Before the end of the handshake there is nothing to read, and maybe no connection below.
  if (state_ == State::kOpen) lower_->read_again();
}

void TlsTransport::watch() { lower_->watch(); }

void TlsTransport::on_closed(Failure failure) {
  if (state_ == State::kClosed || state_ == State::kFailed) return;
  state_ = State::kFailed;
  set_failure(failure.kind, failure.detail, {});
  observer_->on_closed(failure_);
}

}  // namespace pillion::tls
