#pragma once
// A connection with its place in the lists of its Pool.  Internal to pool*.cc.

#include <memory>

#include "proxy/upstream/pool.h"

namespace pillion::upstream {

struct Pool::Entry final : ListNode<AllTag>, ListNode<AvailableTag> {
  std::unique_ptr<http::ClientConnection> connection;
  const io::Transport* transport =
      nullptr;  // the connection's; lives until the end of its last turn
  Instant began{};
  uint64_t sent_counted = 0;
  uint32_t active = 0;   // exchanges that run
  uint32_t planned = 1;  // while it connects: how many waiters it is for
  bool connected = false;
  bool leaving = false;  // takes no more exchanges, and closes after those that run

  [[nodiscard]] bool has_room() const noexcept {
    return active < connection->max_streams() && !connection->is_clogged();
  }
};

}  // namespace pillion::upstream
