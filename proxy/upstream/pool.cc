#include "proxy/upstream/pool.h"

#include <utility>

#include "proxy/base/assert.h"

namespace pillion::upstream {

struct Pool::Entry final : ListNode<AllTag>, ListNode<IdleTag> {
  explicit Entry(Pool& pool)
      : connection(std::make_unique<http::H1ClientConnection>(
            pool.context_.loop, pool.context_.batch, pool.context_.options.head_limits,
            static_cast<http::H1ClientConnection::Owner&>(pool))) {
    connection->pool_slot = this;
  }
  std::unique_ptr<http::H1ClientConnection> connection;
  Instant began{};
  bool connected = false;
};

Pool::Pool(const Context& context, const io::Address& address) : context_(context), address_(address) {}

Pool::~Pool() { DASSERT(open_ == 0 && waiters_.empty()); }

http::H1ClientConnection* Pool::acquire(PoolWaiter& waiter, Failure* refused) {
  stats::ClusterStats& stats = context_.stats;
  while (Entry* entry = idle_.pop_front()) {
    // The loop may have slept through its idle timeout by up to a slot.
    const Duration idle = context_.loop.now() - entry->connection->idle_since;
    if (context_.options.idle_timeout == Duration{} || idle < context_.options.idle_timeout) {
      return entry->connection.get();
    }
    stats.upstream_cx_idle_timeout.inc();
    entry->connection->close({FailureKind::kIdleTimeout});
  }
  if (!context_.limits.pending.try_acquire(context_.options.limits.max_pending)) {
    stats.upstream_rq_pending_overflow.inc();
    *refused = {FailureKind::kOverflow};
    return nullptr;
  }
  waiters_.push_back(waiter);
  ++waiting_;
  stats.upstream_rq_pending_total.inc();
  stats.upstream_rq_pending_active.inc();
  if (connecting_count_ < waiting_) open_connection();
  return nullptr;
}

void Pool::cancel(PoolWaiter& waiter) {
  if (!waiter.ListNode<WaiterTag>::is_linked()) return;
  waiter.ListNode<WaiterTag>::unlink();
  --waiting_;
  context_.limits.pending.release();
  context_.stats.upstream_rq_pending_active.dec();
}

std::unique_ptr<io::Transport> Pool::open_transport() {
  std::unique_ptr<io::Transport> transport =
      io::Socket::connect(context_.loop, address_, context_.options.source, context_.options.socket);
  if (const TransportWrapper* wrapper = context_.options.wrapper) {
    transport = wrapper->wrap(context_.loop, std::move(transport));
  }
  return transport;
}

bool Pool::open_connection() {
  stats::ClusterStats& stats = context_.stats;
  if (!context_.limits.connections.try_acquire(context_.options.limits.max_connections)) {
    stats.upstream_cx_overflow.inc();
    // A pool without any connection may still open one, so that every host makes progress.
    if (open_ != 0) return false;
    context_.limits.connections.acquire();
  }
  auto* entry = new Entry(*this);
  entry->began = context_.loop.now();
  ++open_;
  ++connecting_count_;
  connecting_.push_back(*entry);
  stats.upstream_cx_total.inc();
  stats.upstream_cx_http1_total.inc();
  stats.upstream_cx_active.inc();
  std::unique_ptr<io::Transport> transport = open_transport();
  if (!connect_timer_.is_armed()) context_.loop.arm(connect_timer_, context_.options.connect_timeout);
  entry->connection->start(std::move(transport));
  return true;
}

Pool::Entry* Pool::entry_of(http::H1ClientConnection& connection) noexcept {
  return static_cast<Entry*>(connection.pool_slot);
}

void Pool::on_client_connected(http::H1ClientConnection& connection) {
  Entry& entry = *entry_of(connection);
  entry.connected = true;
  --connecting_count_;
  entry.ListNode<AllTag>::unlink();
  ready_.push_back(entry);
  context_.stats.upstream_cx_connect_ms.record(context_.loop.now() - entry.began);
  serve_or_keep(entry);
}

void Pool::on_client_idle(http::H1ClientConnection& connection) {
  const PoolOptions& o = context_.options;
  const Instant now = context_.loop.now();
  if (o.max_requests_per_connection != 0 && connection.exchanges() >= o.max_requests_per_connection) {
    context_.stats.upstream_cx_max_requests.inc();
    return connection.close({FailureKind::kNone});
  }
  const bool old = o.max_connection_duration != Duration{} && now - connection.connected_at >= o.max_connection_duration;
  if (draining_ || old) return connection.close({FailureKind::kDraining});
  serve_or_keep(*entry_of(connection));
}

void Pool::serve_or_keep(Entry& entry) {
  http::H1ClientConnection& connection = *entry.connection;
  if (PoolWaiter* waiter = waiters_.front()) {
    cancel(*waiter);
    return waiter->on_pool_ready(connection);
  }
  const Instant now = context_.loop.now();
  connection.idle_since = now;
  idle_.push_front(entry);
  const Duration timeout = context_.options.idle_timeout;
  if (timeout != Duration{} && !idle_timer_.is_armed()) context_.loop.arm(idle_timer_, timeout);
}

void Pool::on_idle_timer() {
  const Instant now = context_.loop.now();
  const Duration timeout = context_.options.idle_timeout;
  while (Entry* oldest = idle_.back()) {
    const Instant due = oldest->connection->idle_since + timeout;
    if (due > now) return context_.loop.arm_at(idle_timer_, due);
    context_.stats.upstream_cx_idle_timeout.inc();
    oldest->connection->close({FailureKind::kIdleTimeout});
  }
}

void Pool::on_connect_timer() {
  const Instant now = context_.loop.now();
  while (Entry* oldest = connecting_.front()) {
    const Instant due = oldest->began + context_.options.connect_timeout;
    if (due > now) return context_.loop.arm_at(connect_timer_, due);
    context_.stats.upstream_cx_connect_timeout.inc();
    oldest->connection->close({FailureKind::kConnectTimeout});
  }
}

void Pool::on_client_closed(http::H1ClientConnection& connection, Failure failure) {
  Entry* entry = entry_of(connection);
  entry->ListNode<IdleTag>::unlink();
  entry->ListNode<AllTag>::unlink();
  --open_;
  context_.limits.connections.release();
  stats::ClusterStats& stats = context_.stats;
  stats.upstream_cx_active.dec();
  stats.upstream_cx_destroy.inc();
  const bool was_connected = entry->connected;
  context_.loop.delete_later(std::move(entry->connection));
  delete entry;
  if (was_connected) {
    // Waiters that could not open one may now.
    if (connecting_count_ < waiting_ && !draining_) open_connection();
    return;
  }
  --connecting_count_;
  stats.upstream_cx_connect_fail.inc();
  // Each failed connect fails one waiter: the stream decides whether it tries another host.
  if (PoolWaiter* waiter = waiters_.front()) {
    cancel(*waiter);
    stats.upstream_rq_pending_failure_eject.inc();
    waiter->on_pool_failure(failure);
  }
}

void Pool::on_client_event(http::H1ClientConnection::Event event) {
  if (event == http::H1ClientConnection::Event::kTruncated) return;
  context_.stats.upstream_cx_protocol_error.inc();
}

void Pool::on_client_bytes(uint64_t received, uint64_t) {
  context_.stats.upstream_cx_rx_bytes_total.add(received);
}

void Pool::drain() {
  draining_ = true;
  while (Entry* entry = idle_.front()) entry->connection->close({FailureKind::kDraining});
}

void Pool::close_all(Failure failure) {
  draining_ = true;
  while (PoolWaiter* waiter = waiters_.front()) {
    cancel(*waiter);
    waiter->on_pool_failure(failure);
  }
  while (Entry* entry = connecting_.front()) entry->connection->close(failure);
  while (Entry* entry = ready_.front()) entry->connection->close(failure);
}

}  // namespace pillion::upstream
