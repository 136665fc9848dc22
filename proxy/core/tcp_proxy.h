#pragma once
// TcpProxy: a client's connection whose bytes go to one host of a cluster and back, unread.  The
// terminal of a TCP filter chain (extensions.filters.network.tcp_proxy.v3).
//
// Owned by its Listener's list.  The upstream is connected before the client is read from, so that
// nothing is buffered for a host that does not answer; a failed connect is tried on another host as
// often as max_connect_attempts says.  The relay itself is TcpRelay.

#include <memory>

#include "proxy/core/connection.h"
#include "proxy/core/tcp_relay.h"
#include "proxy/core/worker_context.h"
#include "proxy/upstream/tcp_connection.h"

namespace pillion::core {

class TcpProxy final : public Connection,
                       private io::TransportObserver,
                       private TcpRelay::Observer,
                       private upstream::TcpConnection::Owner {
 public:
  TcpProxy(WorkerContext& worker, ConnectionOwner& owner, Ref<ChainLine> line,
           const ConnectionInfo& info);
  ~TcpProxy() override;

  void start(std::unique_ptr<io::Transport> transport) override;
  void close(Failure failure) override;
  void describe(StreamInfo& info) const override;

 private:
  // The client, until the relay takes over.
  void on_connected() override;
  void on_readable() override {}
  void on_writable() override {}
  void on_closed(Failure failure) override { end(failure, io::Transport::CloseMode::kReset); }
  // The upstream
  void on_tcp_connected() override;
  void on_tcp_failed(Failure failure) override;
  // The relay
  void on_relayed(TcpRelay::Side from, size_t bytes) override;
  void on_relay_done(TcpRelay::Side side, Failure failure) override;

  [[nodiscard]] const TcpProxyConfig& config() const noexcept { return *state_->tcp; }
  void begin();
  bool choose_cluster();
  void connect();
  void end(Failure failure, io::Transport::CloseMode mode);
  void touch();
  void on_timer();
  void on_duration();
  void log() const;

  WorkerContext& worker_;
  const Ref<ChainState> state_;  // that it began with, to its end
  std::unique_ptr<io::Transport> downstream_;
  Ref<upstream::Cluster> cluster_;
  std::unique_ptr<upstream::TcpConnection> upstream_;
  std::unique_ptr<TcpRelay> relay_;
  Failure failure_;
  uint64_t received_ = 0;  // from the client
  uint64_t sent_ = 0;
  Instant connected_at_{};
  uint32_t attempts_ = 0;
  // The handshake's limit, then the idle timeout.
  io::Timer timer_ = io::Timer::of<&TcpProxy::on_timer>(this);
  std::unique_ptr<io::Timer> duration_timer_;  // of max_connection_duration, which is rarely set
  bool connected_ = false;                     // the client's TLS handshake is done
  bool ended_ = false;
};

}  // namespace pillion::core
