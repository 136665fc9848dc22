#pragma once
// Listener: one worker's share of a configured listener: its listening sockets, the connections
// that came through it, and what they share.
//
// Owned by the Worker.  An update of the configuration that leaves the socket alone replaces the
// ListenerConfig in place; connections go on under what their chain has become (chain_line.h), and
// those whose chain is gone are drained.  After close_socket() the Listener lives on until its last
// connection ended.

#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "proxy/core/chain_matcher.h"
#include "proxy/core/connection.h"
#include "proxy/core/worker_context.h"
#include "proxy/io/acceptor.h"
#include "proxy/io/socket.h"

namespace pillion::core {

class Listener;

class ListenerOwner {
 public:
  // For use_original_dst: the listener bound (or configured) for that address, or null.
  virtual Listener* find_listener(const io::Address& destination) = 0;
  // A drained listener without connections: may be deleted.
  virtual void on_listener_empty(Listener& listener) = 0;
  // Room for another client connection within the descriptor budget?
  virtual bool may_accept() = 0;
  virtual void on_connection_count(int change) = 0;

 protected:
  ~ListenerOwner() = default;
};

class Listener final : public io::Deferred, private io::AcceptObserver, private ConnectionOwner {
 public:
  // Takes over `bound_fds`, one for each address, and listens; none for a listener that does not
  // bind.
  Listener(WorkerContext& worker, ListenerOwner& owner,
           std::shared_ptr<const ListenerConfig> config, std::span<const int> bound_fds);
  ~Listener() override;

  [[nodiscard]] const ListenerConfig& config() const noexcept { return *config_; }
  // Why it does not listen, as errno (it tries again by itself); 0: it does, or need not.
  [[nodiscard]] int listen_error() const noexcept {
    for (const auto& acceptor : acceptors_) {
      if (acceptor->listen_error() != 0) return acceptor->listen_error();
    }
    return 0;
  }
  // `drains`: of chains that are taken away.
  void update(std::shared_ptr<const ListenerConfig> config, const ChainDrains& drains = {});
  // Stops accepting after taking what the kernel's queue holds, and drains all connections.  May
  // report on_listener_empty.
  void close_socket();
  void pause_accepting();
  void resume_accepting();
  void drain_connections();
  void close_connections();
  [[nodiscard]] size_t connection_count() const noexcept { return count_; }

  // A connection whose chain is to be chosen here: from the acceptor, or handed over.
  void take(std::unique_ptr<io::Socket> socket, const ConnectionInfo& info);

 private:
  friend class Inspection;
  void on_accepted(int fd, const io::Address& peer) override;
  void on_accept_error(int error) override;
  [[nodiscard]] io::Address arrived_at(const io::Socket& socket, const io::Address& peer) const;
  Connection& serve(const Ref<ChainLine>& line, const ConnectionInfo& info) override;
  void on_connection_replaced(Connection& former, Connection& next) override;
  void on_connection_closed(Connection& connection, Failure failure) override;
  void begin(std::unique_ptr<io::Socket> socket, ConnectionInfo info, const Sniffed& sniffed);
  void end_inspection(class Inspection& inspection);
  ChainLine& line_of(const std::shared_ptr<const FilterChain>& chain);
  void continue_line(const Ref<ChainLine>& line, const std::shared_ptr<const FilterChain>& heir);
  const ListenerConfig& listener_config() const override { return *config_; }
  void on_handshake_timeout() override {
    stats_->downstream_cx_transport_socket_connect_timeout.inc();
  }
  void on_filter_config_missing() override { stats_->network_extension_config_missing.inc(); }
  void refuse(std::unique_ptr<io::Socket> socket, const ConnectionInfo& info, Failure failure);
  void log_end(const ConnectionInfo& info, const Connection* connection, Failure failure) const;
  void drain_orphans(Instant deadline);
  void close_draining();
  void count_closed();
  void use_inspector_stats();
  void end_drain();

  WorkerContext& worker_;
  ListenerOwner& owner_;
  std::shared_ptr<const ListenerConfig> config_;
  std::vector<std::unique_ptr<io::Acceptor>> acceptors_;
  stats::BlockRef<stats::ListenerStats> stats_;
  stats::BlockRef<stats::ListenerTlsStats> tls_stats_;
  stats::BlockRef<stats::ListenerTlsFactoryStats> tls_factory_stats_;
  stats::BlockRef<stats::TlsInspectorStats> inspector_stats_;  // null without a TLS inspector
  // By the newest chain of each, which is of the current configuration; made on first use.  Two may
  // have become one chain.
  std::unordered_multimap<const FilterChain*, Ref<ChainLine>> lines_;
  IntrusiveList<Connection, ConnectionTag> connections_;
  struct InspectionList;
  std::unique_ptr<InspectionList> inspections_;
  size_t count_ = 0;
  bool draining_ = false;
  io::Timer drain_timer_ = io::Timer::of<&Listener::close_draining>(this);
};

}  // namespace pillion::core
