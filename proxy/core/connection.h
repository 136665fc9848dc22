#pragma once
// Connection: a downstream connection of any kind, as its listener sees it.
//
// Owned by the listener of its worker, on one intrusive list per filter chain.  Ends exactly once by
// ConnectionOwner::on_connection_closed, whoever closed it.

#include <memory>
#include <string_view>

#include "proxy/core/listener_config.h"
#include "proxy/core/stream_info.h"
#include "proxy/io/deferred.h"
#include "proxy/io/transport.h"

namespace pillion::core {

class Connection;
struct ConnectionTag {};

class ConnectionOwner {
 public:
  // Unlinks the connection and passes it to Loop::delete_later.
  virtual void on_connection_closed(Connection& connection, Failure failure) = 0;

 protected:
  ~ConnectionOwner() = default;
};

class Connection : public io::Deferred, public ListNode<ConnectionTag> {
 public:
  explicit Connection(ConnectionOwner& owner) noexcept : owner_(owner) {}

  // `already_read` bytes came before (inspectors); they are copied.
  virtual void start(std::unique_ptr<io::Transport> transport, std::string_view already_read) = 0;
  // No new work: idle connections close, busy ones announce their end on the next response.
  virtual void drain() = 0;
  virtual void close(Failure failure) = 0;
  // Is an exchange running, or the connection a stream of bytes that cannot be asked to end?
  [[nodiscard]] virtual bool is_busy() const noexcept = 0;
  // The chain it began with, pinned until its end.
  [[nodiscard]] virtual const FilterChain& chain() const noexcept = 0;

 protected:
  ConnectionOwner& owner_;
};

}  // namespace pillion::core
