#include "proxy/http/undecided_client.h"

#include <utility>

#include "proxy/base/assert.h"

namespace pillion::http {

UndecidedClientConnection::UndecidedClientConnection(io::Loop& loop, Owner& owner) noexcept
    : ClientConnection(Protocol::kHttp11), loop_(loop), owner_(owner) {}

UndecidedClientConnection::~UndecidedClientConnection() { DASSERT(closed_); }

void UndecidedClientConnection::start(std::unique_ptr<io::Transport> transport) {
  transport_ = std::move(transport);
  transport_->start(*this);
}

void UndecidedClientConnection::adopt(std::unique_ptr<io::Transport> transport) {
  start(std::move(transport));
}

UpstreamStream& UndecidedClientConnection::begin(ResponseSink&) {
  ASSERT(false);  // its owner has replaced it
  __builtin_unreachable();
}

void UndecidedClientConnection::close(Failure failure) {
  if (closed_) return;
  closed_ = true;
  transport_->close();
  loop_.delete_later(std::move(transport_));
  owner_.on_client_closed(*this, failure);
}

Protocol UndecidedClientConnection::chosen() const noexcept {
  const io::PeerIdentity* identity = transport_->identity();
  const bool is_http2 = identity != nullptr && identity->alpn == "h2";
  return is_http2 ? Protocol::kHttp2 : Protocol::kHttp11;
}

std::unique_ptr<io::Transport> UndecidedClientConnection::release_transport() noexcept {
  closed_ = true;
  return std::move(transport_);
}

void UndecidedClientConnection::on_closed(Failure failure) {
  ended_by_peer_ = true;
  close(upstream_view(failure));
}

}  // namespace pillion::http
