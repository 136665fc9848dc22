#pragma once
// Stream::Tunnel: what a stream keeps of an upgrade or a CONNECT.  Internal to core/stream*.cc.
//
// In the stream's arena, from when the route has allowed it.  What the client sends early waits in
// the stream until the tunnel stands: to an HTTP/1 server it would be the next request.  From then
// on each direction ends by itself; the stream ends when both have.

#include "proxy/core/stream.h"
#include "proxy/tls/websocket_key.h"
#include "proxy/upstream/tcp_stream.h"

namespace pillion::core {

struct Stream::Tunnel final : upstream::TcpStream::Owner {
  explicit Tunnel(Stream& its_stream) noexcept : stream(its_stream) {}
  // TcpStream::Owner
  void on_tcp_ready() override { stream.on_tcp_ready(); }
  void on_tcp_refused(Failure failure, std::string_view reason) override {
    stream.on_tcp_refused(failure, reason);
  }

  Stream& stream;
  upstream::TcpStream* connecting = nullptr;  // until it is connected
  std::string_view client_key;                // Sec-WebSocket-Key as it came
  std::string_view own_key;  // what a server of HTTP/1 gets instead; empty: nothing
};

}  // namespace pillion::core
