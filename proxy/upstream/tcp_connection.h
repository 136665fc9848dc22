#pragma once
// TcpConnection: one upstream connection of raw bytes, for network filters: it counts against the
// cluster's breakers, has the connect timeout and TLS of the cluster, and is never pooled.
//
// Owned by its user, which outlives it or calls close() and passes it to Loop::delete_later.
// Calls match: open (on_tcp_connected | on_tcp_failed), close.  No callback inside open().
// After on_tcp_connected the transport's observer is the user's to set (Transport::start).

#include <memory>
#include <string>
#include <string_view>

#include "proxy/io/transport.h"
#include "proxy/upstream/cluster.h"

namespace pillion::upstream {

class TcpConnection final : public io::Deferred, private io::TransportObserver {
 public:
  class Owner {
   public:
    virtual void on_tcp_connected() = 0;
    // Not connected: refused, timed out, or the TLS handshake failed.  Closed already.
    virtual void on_tcp_failed(Failure failure) = 0;

   protected:
    ~Owner() = default;
  };

  // `loop` and `owner` outlive it; it pins the cluster and the host.
  TcpConnection(io::Loop& loop, Cluster& cluster, Host& host, Owner& owner);
  ~TcpConnection() override;

  // False: max_connections is reached (flag UO); nothing was opened.
  bool open();
  // Idempotent; counts the connection's end.  `remote`: the peer ended it.
  void close(io::Transport::CloseMode mode, bool remote);

  [[nodiscard]] io::Transport& transport() noexcept { return *transport_; }
  [[nodiscard]] bool is_open() const noexcept { return transport_ != nullptr; }
  [[nodiscard]] Host& host() noexcept { return *host_; }
  // Why it did not connect, in words, for %UPSTREAM_TRANSPORT_FAILURE_REASON%; from on_tcp_failed
  // on, and may be empty.
  [[nodiscard]] std::string_view failure_reason() const noexcept {
    return attempt_ ? std::string_view(attempt_->failure_reason) : std::string_view();
  }
  void count_bytes(uint64_t received, uint64_t sent);

 private:
  void on_connected() override;
  void on_readable() override {}
  void on_writable() override {}
  void on_closed(Failure failure) override;
  void on_connect_timeout();
  void fail(Failure failure);
  void note_failure(Failure failure);

  struct Attempt {
    explicit Attempt(TcpConnection& c)
        : timer(io::Timer::of<&TcpConnection::on_connect_timeout>(&c)) {}
    io::Timer timer;
    std::string failure_reason;
  };
  io::Loop& loop_;
  Ref<Cluster> cluster_;
  Ref<Host> host_;
  Owner& owner_;
  std::unique_ptr<io::Transport> transport_;
  std::unique_ptr<Attempt> attempt_;  // until it is connected
  Instant began_{};
  bool connected_ = false;
};

}  // namespace pillion::upstream
