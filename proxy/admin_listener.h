#pragma once
// AdminListener: the HTTP/1.1 server of the admin interface, on the control loop.
//
// Owns its listening socket and connections.  Requests are answered by the Router on the control
// thread; a long answer leaves in pieces, one a turn and only as fast as the client takes them, so
// that neither a big mesh nor a slow reader blocks control or costs memory.
//
// The loop, the batch and the router outlive it.

#include <cstddef>
#include <memory>

#include "proxy/admin/page.h"
#include "proxy/base/result.h"
#include "proxy/core/worker_context.h"
#include "proxy/io/acceptor.h"
#include "proxy/io/address.h"
#include "proxy/io/loop.h"
#include "proxy/io/writer.h"

namespace pillion {

class AdminConnection;
struct AdminConnectionTag {};

struct AdminLimits {
  Duration idle_timeout =
      std::chrono::seconds(60);  // between requests, and of a reader that stalls
  Duration request_timeout = std::chrono::seconds(10);  // from a request's first byte to its last
  size_t max_connections = 100;
};

class AdminListener final : private io::AcceptObserver {
 public:
  // Or a sentence why the address cannot be listened on.
  static Result<std::unique_ptr<AdminListener>> open(io::Loop& loop, io::WriteBatch& batch,
                                                     const io::Address& address,
                                                     const admin::Router& router,
                                                     const AdminLimits& limits = {});
  ~AdminListener();

  // As bound: port 0 is resolved.
  [[nodiscard]] io::Address address() const;
  [[nodiscard]] size_t connection_count() const noexcept { return count_; }
  // Stops listening and closes all connections, whatever they are doing.  Idempotent.
  void close();

 private:
  friend class AdminConnection;
  friend class AdminExchange;
  AdminListener(io::Loop& loop, io::WriteBatch& batch, int fd, const admin::Router& router,
                const AdminLimits& limits);

  void on_accepted(int fd, const io::Address& peer) override;
  void on_accept_error(int error) override;
  void on_connection_closed(AdminConnection& connection);
  // Closes a connection that is idle; false when all are busy.
  bool make_room();

  io::Loop& loop_;
  io::WriteBatch& batch_;
  const admin::Router& router_;
  const AdminLimits limits_;
  core::DateText date_;
  std::unique_ptr<io::Acceptor> acceptor_;
  IntrusiveList<AdminConnection, AdminConnectionTag> connections_;
  size_t count_ = 0;
};

}  // namespace pillion
