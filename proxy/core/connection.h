#pragma once
// Connection: a downstream connection of any kind, as its listener sees it.
//
// Owned by the listener of its worker, on its intrusive list.  Ends exactly once by
// ConnectionOwner::on_connection_closed, whoever closed it.

#include <memory>

#include "proxy/core/chain_line.h"
#include "proxy/core/stream_info.h"
#include "proxy/io/deferred.h"
#include "proxy/io/transport.h"

namespace pillion::core {

class Connection;
struct ConnectionTag {};

class ConnectionOwner {
 public:
  virtual const ListenerConfig& listener_config() const = 0;
  // The TLS handshake of a connection took too long; it closes itself.
  virtual void on_handshake_timeout() = 0;
  // A network filter by ECDS has no configuration; the connection closes itself.
  virtual void on_filter_config_missing() = 0;
  // The connection that serves under that chain, not started; its owner is this.
  virtual Connection& serve(const Ref<ChainLine>& line, const ConnectionInfo& info) = 0;
  // `next` goes on with the transport of `former`: takes its place in the list; `former` goes to
  // Loop::delete_later.
  virtual void on_connection_replaced(Connection& former, Connection& next) = 0;
  // Unlinks the connection and passes it to Loop::delete_later.
  virtual void on_connection_closed(Connection& connection, Failure failure) = 0;

 protected:
  ~ConnectionOwner() = default;
};

class Connection : public io::Deferred, public ListNode<ConnectionTag> {
 public:
  Connection(ConnectionOwner& owner, Ref<ChainLine> line, const ConnectionInfo& info)
      : owner_(owner), line_(std::move(line)), info_(info) {}

  virtual void start(std::unique_ptr<io::Transport> transport) = 0;
  // The next response announces the end.  A connection without a request stays open until it sends
  // one or the drain's deadline closes it: closing it now could lose a request that is on its way.
  virtual void drain() { draining_ = true; }
  virtual void close(Failure failure) = 0;
  // What an access log of the listener tells of it beyond info().
  virtual void describe(StreamInfo& info) const = 0;

  [[nodiscard]] const ConnectionInfo& info() const noexcept { return info_; }
  // The chain it runs under.
  [[nodiscard]] const ChainLine& line() const noexcept { return *line_; }

 protected:
  [[nodiscard]] Duration handshake_limit() const noexcept {
    const Duration configured = line_->newest->chain->transport_socket_connect_timeout;
    return configured == Duration{} ? std::chrono::seconds(10) : configured;
  }

  ConnectionOwner& owner_;
  Ref<ChainLine> line_;
  KeptConnectionInfo info_;
  bool draining_ = false;
};

}  // namespace pillion::core
