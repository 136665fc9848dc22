// How a Pool opens connections: when, over what, and which protocol they turn out to speak.
#include <algorithm>
#include <utility>

#include "proxy/base/assert.h"
#include "proxy/base/log.h"
#include "proxy/http/h1_client.h"
#include "proxy/http/h2_client.h"
#include "proxy/http/undecided_client.h"
#include "proxy/upstream/connect.h"
#include "proxy/upstream/pool_entry.h"

namespace pillion::upstream {
namespace {

// In the order of preference, as on the wire.
std::string_view alpn_of(PoolProtocol protocol) noexcept {
  switch (protocol) {
    case PoolProtocol::kHttp1:
      return "\x08http/1.1";
    case PoolProtocol::kHttp2:
      return "\x02h2";
    case PoolProtocol::kAuto:
      break;
  }
  return "\x02h2\x08http/1.1";
}

}  // namespace

std::unique_ptr<io::Transport> Pool::make_transport(std::string_view alpn) {
  bool bind_failed = false;
  std::unique_ptr<io::Transport> transport =
      upstream::make_transport(loop_, options(), {host_.address, host_.hostname(), tls_, alpn},
                               {stats_.tls.get(), stats_.tls_factory.get()}, &bind_failed);
  if (bind_failed) traffic().bind_errors.inc();
  return transport;
}

void Pool::open_soon() {
  if (planned_ >= waiting_ || closed_) return;
  due_ = std::min(due() + 1, waiting_);
  loop_.post(*this);
}

// A few at a time, then the next pool's.
void Pool::run_ready() {
  constexpr int kAtATime = 4;
  for (int opened = 0; due_ != 0 && planned_ < waiting_;) {
    if (opened == kAtATime) return loop_.post(*this);
    if (!loop_.may_connect()) return loop_.post_next(*this);
    const bool is_open = open_for_waiters();
    opened += is_open ? 1 : 0;
    // The last one stands for all who wait, until it is refused.
    if (!is_open || due_ > 1) --due_;
  }
}

bool Pool::open_for_waiters() {
  if (planned_ >= waiting_ || closed_) return false;
  return !allows_none() && open_connection();
}

// A peer that allows no streams for now would allow none on another connection.
bool Pool::allows_none() {
  if (protocol_ == PoolProtocol::kHttp1) return false;
  bool none = false;
  for (Entry* entry = ready_.front(); entry != nullptr; entry = ready_.next(*entry)) {
    if (entry->leaving) continue;
    if (entry->connection->max_streams() != 0) return false;
    none = true;
  }
  return none;
}

bool Pool::open_connection() {
  if (!limits().connections.try_acquire(options().limits.max_connections)) {
    traffic().upstream_cx_overflow.inc();
    // A pool without any connection may still open one, so that every host makes progress.
    if (open_ != 0) return false;
    limits().connections.acquire();
  }
  loop_.count_connect();
  auto* entry = new Entry;
  http::ClientConnection::Owner& owner = *this;
  if (protocol_ == PoolProtocol::kAuto) {
    entry->connection = std::make_unique<http::UndecidedClientConnection>(loop_, owner);
  } else {
    const bool is_http2 = protocol_ == PoolProtocol::kHttp2;
    entry->connection =
        make_connection(is_http2 ? http::Protocol::kHttp2 : http::Protocol::kHttp11);
  }
  entry->connection->pool_slot = entry;
  entry->began = loop_.now();
  entry->planned = expected_streams_;
  if (const uint32_t most = options().max_requests_per_connection; most != 0)
    entry->planned = std::min(entry->planned, most);
  planned_ += entry->planned;
  ++open_;
  connecting_.push_back(*entry);
  traffic().upstream_cx_total.inc();
  traffic().upstream_cx_active.inc();
  counters_.cx_total.inc();
  counters_.cx_active.inc();
  std::unique_ptr<io::Transport> transport = make_transport(alpn_of(protocol_));
  entry->transport = transport.get();
  if (!connect_timer_.is_armed()) loop_.arm(connect_timer_, options().connect_timeout);
  entry->connection->start(std::move(transport));
  return true;
}

std::unique_ptr<http::ClientConnection> Pool::make_connection(http::Protocol protocol) {
  http::ClientConnection::Owner& owner = *this;
  if (protocol == http::Protocol::kHttp2) {
    traffic().upstream_cx_http2_total.inc();
    // What the host allowed on another connection it will on this one: more would be refused.
    const uint32_t first = std::min(expected_streams_, http::H2ClientConnection::kFirstStreams);
    return std::make_unique<http::H2ClientConnection>(loop_, batch_, head_limits_, h2_options_,
                                                      owner, first);
  }
  traffic().upstream_cx_http1_total.inc();
  return std::make_unique<http::H1ClientConnection>(loop_, batch_, head_limits_, owner);
}

Pool::Entry* Pool::entry_of(http::ClientConnection& connection) noexcept {
  return static_cast<Entry*>(connection.pool_slot);
}

// The peer chose by ALPN, and the connection gives way to one that speaks what it chose.
void Pool::settle_protocol(Entry& entry) {
  auto& undecided = static_cast<http::UndecidedClientConnection&>(*entry.connection);
  const http::Protocol protocol = undecided.chosen();
  std::unique_ptr<io::Transport> transport = undecided.release_transport();
  loop_.delete_later(std::move(entry.connection));
  entry.connection = make_connection(protocol);
  entry.connection->pool_slot = &entry;
  entry.connection->adopt(std::move(transport));
  if (protocol != http::Protocol::kHttp2) expected_streams_ = 1;
}

void Pool::on_client_connected(http::ClientConnection& connection) {
  Entry& entry = *entry_of(connection);
  entry.connected = true;
  planned_ -= entry.planned;
  entry.ListNode<AllTag>::unlink();
  ready_.push_back(entry);
  traffic().upstream_cx_connect_ms.record(loop_.now() - entry.began);
  log::trace(log::kPool, "connected", {{"cluster", config_->name.view()}, {"host", host_.address}});
  if (protocol_ == PoolProtocol::kAuto) settle_protocol(entry);
  const bool is_http2 = entry.connection->protocol() == http::Protocol::kHttp2;
  entry.connection->idle_since = loop_.now();
  serve_or_keep(entry);
  // Of HTTP/1 more are needed than while HTTP/2 was hoped for.
  if (protocol_ == PoolProtocol::kAuto && !is_http2) open_soon();
}

void Pool::on_connect_timer() {
  while (Entry* oldest = connecting_.front()) {
    const Instant due = oldest->began + options().connect_timeout;
    if (due > loop_.now()) return loop_.arm_at(connect_timer_, due);
    traffic().upstream_cx_connect_timeout.inc();
    close_entry(*oldest, FailureKind::kConnectTimeout);
  }
}

}  // namespace pillion::upstream
