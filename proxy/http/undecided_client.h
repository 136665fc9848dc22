#pragma once
// UndecidedClientConnection: a connection to an upstream that is to speak what the TLS handshake
// agrees on (ALPN).  It only connects; then its owner asks chosen(), takes the transport away and
// gives it to a connection of that protocol.
//
// Owned by its pool like any ClientConnection; begin() is never called.

#include "proxy/http/client_connection.h"
#include "proxy/io/loop.h"

namespace pillion::http {

class UndecidedClientConnection final : public ClientConnection, private io::TransportObserver {
 public:
  // Both outlive it.
  UndecidedClientConnection(io::Loop& loop, Owner& owner) noexcept;
  ~UndecidedClientConnection() override;

  void start(std::unique_ptr<io::Transport> transport) override;
  void adopt(std::unique_ptr<io::Transport> transport) override;
  UpstreamStream& begin(ResponseSink& sink) override;
  void close(Failure failure) override;
  [[nodiscard]] uint64_t bytes_sent() const noexcept override { return 0; }

  // HTTP/2 if the peer chose it, else HTTP/1.1.
  [[nodiscard]] Protocol chosen() const noexcept;
  // Ends this object without closing.
  std::unique_ptr<io::Transport> release_transport() noexcept;

 private:
  void on_connected() override { owner_.on_client_connected(*this); }
  void on_readable() override {}
  void on_writable() override {}
  void on_closed(Failure failure) override;

  io::Loop& loop_;
  Owner& owner_;
};

}  // namespace pillion::http
