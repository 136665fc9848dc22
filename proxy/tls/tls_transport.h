#pragma once
// TlsTransport: TLS over any Transport, as a Transport.  The asynchronous handshake, records in and
// out, alerts, and what was learned of the peer.
//
// Owned by its connection like any Transport; owns the transport below.  A server starts on an
// accepted lower transport, a client on one that is connecting.  on_connected comes when the
// handshake is done and the peer is verified; before it nothing can be read, so no request of a
// client that fails verification is ever seen.  A failed handshake is one on_closed(); then
// failure_reason() names the cause in a sentence, and the alert has been sent.
//
//   auto t = std::make_unique<TlsTransport>(loop, std::move(lower), context, options);
//   t->start(observer);
//
// During the handshake the owner may already call anything: pause() holds back only data, write()
// takes nothing until on_writable, which follows on_connected, and shutdown_write() happens then.
//
// End of stream: only close_notify is kEof.  A bare FIN is kError (truncation), so that a body that
// ends with its connection is not taken for a complete one (RFC 9112, 9.8).
//
// A resumed session is verified like a new one, and gives the same identity (resumption.h).
//
// Memory when idle: this object, BoringSSL's session with its two keys, one block for the identity;
// of a peer whose session may be resumed its chain, which connections with the same chain share.
// Ciphertext lives in the thread's Channel; Buffers here are empty unless a turn left something
// over.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/io/loop.h"
#include "proxy/io/transport.h"
#include "proxy/stats/blocks.h"
#include "proxy/tls/channel.h"
#include "proxy/tls/context.h"
#include "proxy/tls/handshake_queue.h"
#include "proxy/tls/identity.h"

namespace pillion::tls {

class TlsTransport final : public io::Transport,
                           private io::TransportObserver,
                           private HandshakeTask {
 public:
  struct Options {
    // Of clients.  The server's name; empty: the context's.
    std::string_view sni{};
    // The URI, DNS or IP SAN the server must have; empty: the context's matchers.
    std::string_view expected_name{};
    // Replaces the context's (Context::to_alpn_wire).
    std::string_view alpn_wire{};
    // With whom its sessions may be resumed.
    io::Address server = {};
    // Of a client that was accepted, for the log line of a failed handshake.
    io::Address peer = {};
    // Where it is counted: one of them, or none.  They outlive the transport.
    stats::ListenerTlsStats* listener_stats = nullptr;
    stats::ClusterTlsStats* cluster_stats = nullptr;
  };
  // `loop` outlives it.
  TlsTransport(io::Loop& loop, std::unique_ptr<io::Transport> lower,
               std::shared_ptr<const Context> context, const Options& options);
  ~TlsTransport() override;

  void start(io::TransportObserver& observer) override;
  io::IoResult read(char* to, size_t capacity) override;
  // Records of up to 16 KiB, gathered from the pieces, sent with as few writes as possible.
  io::IoResult write(const iovec* pieces, int count) override;
  [[nodiscard]] size_t pending_write() const noexcept override;
  void shutdown_write() override;
  void close(CloseMode mode = CloseMode::kOrderly) override;
  void pause(io::PauseReason reason) override;
  void resume(io::PauseReason reason) override;
  void read_again() override;
  void watch() override;
  [[nodiscard]] bool has_news() const noexcept override { return lower_->has_news(); }
  [[nodiscard]] const io::PeerIdentity* identity() const noexcept override {
    return identity_.get();
  }
  [[nodiscard]] std::string_view failure_reason() const noexcept override;
  [[nodiscard]] Failure failure() const noexcept override { return failure_; }

  // The transport below, for its addresses and socket options.
  [[nodiscard]] io::Transport& lower() noexcept { return *lower_; }
  [[nodiscard]] const Context& context() const noexcept { return *context_; }

 private:
  friend struct Callbacks;            // what BoringSSL calls (callbacks.cc)
  friend struct ResumptionCallbacks;  // (resumption.cc)
  friend struct Resumption;
  enum class State : uint8_t { kHandshake, kOpen, kFailed, kClosed };
  // Needed only until the handshake is done.
  struct Handshake {
    std::string expected_name;
    std::string sni;
    io::Address peer;
    Verifier::Outcome outcome = Verifier::Outcome::kOk;
    std::string reason;                        // of a refusal by our own callbacks
    const Context::Identity* local = nullptr;  // the certificate that was chosen
    // Of a server, from the ticket that was opened last; counts if that session is resumed.
    IdentityPtr resumed;    // null: of a client that showed no certificate
    int64_t proven_at = 0;  // when the client proved its key: seconds since 1970
  };

  // From the lower transport.
  void on_connected() override;
  void on_readable() override;
  void on_writable() override;
  void on_closed(Failure failure) override;
  void run_handshake() override;

  void configure_client(const Options& options);
  void request_step();  // now, or when the turn's budget allows
  void advance_handshake();
  void finish_handshake();
  void announce_open(bool all_read);
  void fail_handshake();
  void count_handshake_failure(bool no_certificate);
  void log_handshake_failure() const;
  // Remembers how reading ended; `result` is SSL_read's.  kAgain if it did not end.
  io::IoStatus classify_read_end(int result);
  io::IoStatus fail_read(FailureKind kind, int detail, std::string reason);
  bool seal(const iovec* pieces, int count, size_t& taken);
  void send_close_notify();
  void flush_unsent();
  [[nodiscard]] bool has_unread() const noexcept;
  void set_failure(FailureKind kind, int detail, std::string reason);
  template <typename F>
  void count(F&& on_block) {
    if (listener_stats_ != nullptr) return on_block(*listener_stats_);
    if (cluster_stats_ != nullptr) on_block(*cluster_stats_);
  }
  [[nodiscard]] Channel::Ends ends() noexcept { return {lower_.get(), &unread_, &unsent_}; }
  [[nodiscard]] bool is_server() const noexcept { return context_->role() == Role::kServer; }

  io::Loop& loop_;
  io::TransportObserver* observer_ = nullptr;
  std::unique_ptr<io::Transport> lower_;
  std::shared_ptr<const Context> context_;
  ssl_st* ssl_;
  IdentityPtr identity_;
  std::unique_ptr<Handshake> handshake_;
  std::unique_ptr<std::string> reason_;
  std::unique_ptr<const SessionStore::Key> session_key_;  // of a client that keeps sessions
  stats::ListenerTlsStats* listener_stats_;
  stats::ClusterTlsStats* cluster_stats_;
  Buffer unread_;
  Buffer unsent_;
  Failure failure_;
  State state_ = State::kHandshake;
  io::IoStatus read_end_ = io::IoStatus::kOk;  // kEof or kError once reading is over
  uint8_t paused_ = 0;
  bool received_data_ : 1 = false;
  bool fin_wanted_ : 1 = false;    // shutdown_write() waits for unsent_ or the handshake
  bool write_wanted_ : 1 = false;  // write() came during the handshake
};

}  // namespace pillion::tls
