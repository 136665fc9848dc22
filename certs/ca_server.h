#pragma once
// CaServer: the development CA on a socket: gRPC over HTTP/2, in clear text on a Unix socket or
// over TLS.  A part of `pillion ca serve`, and of tests; no proxy runs one.
//
// Lives on one loop; owns its listening socket and its connections.  `loop`, `batch` and `service`
// outlive it.  Closed objects are buried by the loop.
//
// Bounds: 256 connections of 100 streams, 64 KiB a request, a minute without a request; who asks
// for nothing makes room for who comes.

#include <cstdint>
#include <memory>

#include "certs/ca_service.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/http/h2_options.h"
#include "proxy/http/limits.h"
#include "proxy/io/acceptor.h"
#include "proxy/io/loop.h"
#include "proxy/io/writer.h"
#include "proxy/tls/context.h"

namespace pillion::certs {

class CaConnection;
struct CaConnectionTag {};

class CaServer final : private io::AcceptObserver {
 public:
  // Takes over `fd`, which listens.  `tls` null: clear text.
  CaServer(io::Loop& loop, io::WriteBatch& batch, int fd, const CaService& service,
           std::shared_ptr<const tls::Context> tls);
  ~CaServer();
  CaServer(const CaServer&) = delete;
  CaServer& operator=(const CaServer&) = delete;

  // As bound: port 0 is resolved.  Of TCP.
  [[nodiscard]] io::Address address() const;
  [[nodiscard]] size_t connection_count() const noexcept { return count_; }
  // Stops listening and closes all connections.  Idempotent; a turn of the loop buries them.
  void close();

 private:
  friend class CaConnection;
  friend class CaExchange;
  void on_accepted(int fd, const io::Address& peer) override;
  void on_accept_error(int error) override;
  void on_connection_closed(CaConnection& connection);
  bool make_room();

  io::Loop& loop_;
  io::WriteBatch& batch_;
  const CaService& service_;
  const std::shared_ptr<const tls::Context> tls_;
  http::H1Limits limits_;
  http::H2Options h2_;
  std::unique_ptr<io::Acceptor> acceptor_;
  IntrusiveList<CaConnection, CaConnectionTag> connections_;
  size_t count_ = 0;
};

}  // namespace pillion::certs
