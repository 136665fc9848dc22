#include "certs/ca_server.h"

#include <unistd.h>

#include <cstring>

#include "certs/ca_connection.h"
#include "proxy/base/log.h"
#include "proxy/io/socket.h"
#include "proxy/tls/tls_transport.h"

namespace pillion::certs {
namespace {

constexpr size_t kMaxConnections = 256;
constexpr uint32_t kMaxStreams = 100;
constexpr uint32_t kMaxHeadBytes = 32 * 1024;  // a projected token has some 1,500

}  // namespace

CaServer::CaServer(io::Loop& loop, io::WriteBatch& batch, int fd, const CaService& service,
                   std::shared_ptr<const tls::Context> tls)
    : loop_(loop), batch_(batch), service_(service), tls_(std::move(tls)) {
  limits_.max_bytes = kMaxHeadBytes;
  h2_.max_head_bytes = kMaxHeadBytes;
  h2_.max_concurrent_streams = kMaxStreams;
  acceptor_ = std::make_unique<io::Acceptor>(loop, fd, static_cast<io::AcceptObserver&>(*this));
}

CaServer::~CaServer() { close(); }

io::Address CaServer::address() const {
  return acceptor_ ? io::local_address_of(acceptor_->fd()) : io::Address{};
}

void CaServer::close() {
  acceptor_.reset();
  while (CaConnection* connection = connections_.front())
    connection->close({FailureKind::kDraining});
}

void CaServer::on_accepted(int fd, const io::Address& peer) {
  if (count_ >= kMaxConnections && !make_room()) {
    static log::Limit limit{std::chrono::seconds(10)};
    log::warning(limit, log::kTls, "connection refused: all others are busy", {{"peer", peer}});
    ::close(fd);
    return;
  }
  auto* connection = new CaConnection(*this);
  connections_.push_back(*connection);
  ++count_;
  std::unique_ptr<io::Transport> transport = io::Socket::adopt(loop_, fd);
  if (tls_ != nullptr) {
    tls::TlsTransport::Options options;
    options.peer = peer;
    transport = std::make_unique<tls::TlsTransport>(loop_, std::move(transport), tls_, options);
  }
  connection->start(std::move(transport), tls_ == nullptr);
}

// The one that has been there longest and asks for nothing.
bool CaServer::make_room() {
  for (CaConnection* each = connections_.front(); each != nullptr;
       each = connections_.next(*each)) {
    if (each->is_busy()) continue;
    each->close({FailureKind::kIdleTimeout});
    return true;
  }
  return false;
}

void CaServer::on_accept_error(int error) {
  static log::Limit limit{std::chrono::seconds(10)};
  log::warning(limit, log::kTls, "cannot accept connections", {{"reason", std::strerror(error)}});
}

void CaServer::on_connection_closed(CaConnection& connection) {
  connections_.erase(connection);
  --count_;
  loop_.delete_later(&connection);
}

}  // namespace pillion::certs
