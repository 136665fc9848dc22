#include "proxy/admin_listener.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "proxy/admin_connection.h"
#include "proxy/base/log.h"

namespace pillion {

Result<std::unique_ptr<AdminListener>> AdminListener::open(io::Loop& loop, io::WriteBatch& batch,
                                                           const io::Address& address,
                                                           const admin::Router& router,
                                                           const AdminLimits& limits) {
  io::ListenOptions options;
  options.reuse_port = false;  // a second proxy on this port is a mistake
  const auto fd = io::open_listener(address, options);
  if (!fd) return Error{fd.error()};
  return std::unique_ptr<AdminListener>(new AdminListener(loop, batch, *fd, router, limits));
}

AdminListener::AdminListener(io::Loop& loop, io::WriteBatch& batch, int fd,
                             const admin::Router& router, const AdminLimits& limits)
    : loop_(loop),
      batch_(batch),
      router_(router),
      limits_(limits),
      acceptor_(std::make_unique<io::Acceptor>(loop, fd, static_cast<io::AcceptObserver&>(*this))) {
}

AdminListener::~AdminListener() { close(); }

io::Address AdminListener::address() const {
  return acceptor_ ? io::local_address_of(acceptor_->fd()) : io::Address{};
}

void AdminListener::close() {
  acceptor_.reset();
  while (AdminConnection* connection = connections_.front())
    connection->close({FailureKind::kDraining});
}

void AdminListener::on_accepted(int fd, const io::Address& peer) {
  if (count_ >= limits_.max_connections && !make_room()) {
    static log::Limit limit{std::chrono::seconds(10)};
    log::warning(limit, log::kAdmin, "connection refused: all others are busy",
                 {{"peer", peer}, {"connections", count_}});
    ::close(fd);
    return;
  }
  auto* connection = new AdminConnection(*this);
  connections_.push_back(*connection);
  ++count_;
  connection->start(io::Socket::adopt(loop_, fd));
}

// The connection that has been there longest without asking for anything makes room, or a client
// that only opens connections would keep probes and people out.
bool AdminListener::make_room() {
  for (AdminConnection* each = connections_.front(); each != nullptr;
       each = connections_.next(*each)) {
    if (each->is_busy()) continue;
    each->close({FailureKind::kIdleTimeout});
    return true;
  }
  return false;
}

void AdminListener::on_accept_error(int error) {
  static log::Limit limit{std::chrono::seconds(10)};
  log::warning(limit, log::kAdmin, "cannot accept connections", {{"reason", std::strerror(error)}});
}

void AdminListener::on_connection_closed(AdminConnection& connection) {
  connections_.erase(connection);
  --count_;
  loop_.delete_later(&connection);
}

}  // namespace pillion
