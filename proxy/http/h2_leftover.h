#pragma once
// H2Leftover: what one turn's budget has left unread of an HTTP/2 connection's input: it is worked
// through in the next turns, so that other connections come between.
//
// Owned by its connection, which reads nothing else until it is gone.  The connection posts it; its
// receive_leftover() is called, in which it may destroy this.

#include "proxy/base/buffer.h"
#include "proxy/io/loop.h"

namespace pillion::http {

template <typename Connection>
class H2Leftover final : public io::ReadyTask {
 public:
  explicit H2Leftover(Connection& connection) noexcept : connection_(connection) {}
  void run_ready() override { connection_.receive_leftover(); }

  Buffer bytes;

 private:
  Connection& connection_;
};

}  // namespace pillion::http
