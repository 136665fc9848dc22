#pragma once
// A connection with its place in the lists of its Pool.  Internal to pool*.cc.

#include <memory>

#include "proxy/http/h1_client.h"
#include "proxy/upstream/pool.h"

namespace pillion::upstream {

struct Pool::Entry final : ListNode<AllTag>, ListNode<IdleTag> {
  explicit Entry(Pool& pool)
      : connection(std::make_unique<http::H1ClientConnection>(
            pool.loop_, pool.batch_, pool.head_limits_,
            static_cast<http::ClientConnection::Owner&>(pool))) {
    connection->pool_slot = this;
  }
  std::unique_ptr<http::ClientConnection> connection;
  const io::Transport* transport =
      nullptr;  // the connection's; lives until the end of its last turn
  Instant began{};
  uint64_t sent_counted = 0;
  bool connected = false;
  bool busy = false;  // handed out, and the exchange has not ended
};

}  // namespace pillion::upstream
