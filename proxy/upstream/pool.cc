#include "proxy/upstream/pool.h"

#include <algorithm>
#include <utility>

#include "proxy/base/assert.h"
#include "proxy/base/log.h"
#include "proxy/tls/tls_transport.h"
#include "proxy/upstream/pool_entry.h"

namespace pillion::upstream {

Pool::Pool(const Context& context, const HostInfo& host, HostCounters& counters)
    : loop_(context.loop),
      batch_(context.batch),
      stats_(context.stats),
      config_(context.config),
      host_(host),
      counters_(counters),
      head_limits_(config_->pool.head_limits) {}

Pool::~Pool() { DASSERT(open_ == 0 && waiters_.empty()); }

// --- Waiters ------------------------------------------------------------------------------------

http::ClientConnection* Pool::acquire(PoolWaiter& waiter, Failure* refused) {
  if (closed_) {
    *refused = {FailureKind::kHostRemoved};
    return nullptr;
  }
  for (Entry* next = idle_.front(); next != nullptr;) {
    Entry* const entry = next;
    next = idle_.next(*entry);
    // Its peer closed it, or said something unasked; which of both is known later in this turn.
    if (entry->transport->has_news()) continue;
    entry->ListNode<IdleTag>::unlink();
    // A timer comes up to a slot late.
    if (is_past(entry->connection->idle_since, options().idle_timeout)) {
      traffic().upstream_cx_idle_timeout.inc();
      close_entry(*entry, FailureKind::kIdleTimeout);
    } else if (is_used_up(*entry)) {
      close_entry(*entry, FailureKind::kNone);
    } else {
      entry->busy = true;
      return entry->connection.get();
    }
  }
  if (!limits().pending.try_acquire(options().limits.max_pending)) {
    traffic().upstream_rq_pending_overflow.inc();
    *refused = {FailureKind::kOverflow};
    return nullptr;
  }
  waiters_.push_back(waiter);
  ++waiting_;
  traffic().upstream_rq_pending_total.inc();
  traffic().upstream_rq_pending_active.inc();
  open_for_waiters();
  return nullptr;
}

void Pool::cancel(PoolWaiter& waiter) {
  if (!waiter.ListNode<WaiterTag>::is_linked()) return;
  waiter.ListNode<WaiterTag>::unlink();
  --waiting_;
  limits().pending.release();
  traffic().upstream_rq_pending_active.dec();
}

void Pool::open_for_waiters() {
  if (connecting_count_ < waiting_ && !closed_) open_connection();
}

// --- Opening ------------------------------------------------------------------------------------

std::unique_ptr<io::Transport> Pool::make_transport() {
  std::unique_ptr<io::Socket> socket = io::Socket::connect(
      loop_, host_.address, options().source_for(host_.address), options().socket);
  if (socket->bind_failed()) traffic().bind_errors.inc();
  const std::shared_ptr<const tls::Context>& context = options().tls;
  if (context == nullptr) return socket;
  tls::TlsTransport::Options tls;
  // The transport falls back to the context's name.
  if (context->uses_host_name_as_sni()) tls.sni = host_.hostname;
  tls.cluster_stats = stats_.tls.get();
  return std::make_unique<tls::TlsTransport>(loop_, std::move(socket), context, tls);
}

bool Pool::open_connection() {
  if (!limits().connections.try_acquire(options().limits.max_connections)) {
    traffic().upstream_cx_overflow.inc();
    // A pool without any connection may still open one, so that every host makes progress.
    if (open_ != 0) return false;
    limits().connections.acquire();
  }
  auto* entry = new Entry(*this);
  entry->began = loop_.now();
  ++open_;
  ++connecting_count_;
  connecting_.push_back(*entry);
  traffic().upstream_cx_total.inc();
  traffic().upstream_cx_http1_total.inc();
  traffic().upstream_cx_active.inc();
  counters_.cx_total.inc();
  counters_.cx_active.inc();
  std::unique_ptr<io::Transport> transport = make_transport();
  entry->transport = transport.get();
  if (!connect_timer_.is_armed()) loop_.arm(connect_timer_, options().connect_timeout);
  entry->connection->start(std::move(transport));
  return true;
}

Pool::Entry* Pool::entry_of(http::ClientConnection& connection) noexcept {
  return static_cast<Entry*>(connection.pool_slot);
}

void Pool::on_client_connected(http::ClientConnection& connection) {
  Entry& entry = *entry_of(connection);
  entry.connected = true;
  --connecting_count_;
  entry.ListNode<AllTag>::unlink();
  ready_.push_back(entry);
  traffic().upstream_cx_connect_ms.record(loop_.now() - entry.began);
  log::trace(log::kPool, "connected", {{"cluster", config_->name}, {"host", host_.address}});
  serve_or_keep(entry);
}

// --- Between exchanges --------------------------------------------------------------------------

void Pool::on_client_idle(http::ClientConnection& connection) {
  Entry& entry = *entry_of(connection);
  entry.busy = false;
  count_sent(entry);
  if (is_used_up(entry)) return close_entry(entry, FailureKind::kNone);
  serve_or_keep(entry);
}

bool Pool::is_past(Instant since, Duration limit) const noexcept {
  return limit != Duration{} && loop_.now() - since >= limit;
}

bool Pool::is_used_up(const Entry& entry) {
  const PoolOptions& o = options();
  const http::ClientConnection& connection = *entry.connection;
  if (o.max_requests_per_connection != 0 &&
      connection.exchanges() >= o.max_requests_per_connection) {
    traffic().upstream_cx_max_requests.inc();
    return true;
  }
  if (!is_past(connection.connected_at, o.max_connection_duration)) return false;
  traffic().upstream_cx_max_duration_reached.inc();
  return true;
}

void Pool::serve_or_keep(Entry& entry) {
  http::ClientConnection& connection = *entry.connection;
  if (PoolWaiter* waiter = waiters_.front()) {
    cancel(*waiter);
    entry.busy = true;
    return waiter->on_pool_ready(connection);
  }
  if (draining_) return close_entry(entry, FailureKind::kDraining);
  connection.idle_since = loop_.now();
  idle_.push_front(entry);
  Instant due{};
  if (options().idle_timeout != Duration{}) due = connection.idle_since + options().idle_timeout;
  if (options().max_connection_duration != Duration{}) {
    const Instant end = connection.connected_at + options().max_connection_duration;
    due = due == Instant{} ? end : std::min(due, end);
  }
  if (due != Instant{} && (!idle_timer_.is_armed() || due < idle_timer_.deadline())) {
    loop_.arm_at(idle_timer_, due);
  }
}

void Pool::on_idle_timer() {
  const PoolOptions& o = options();
  Instant next{};
  const auto is_due = [&](Instant since, Duration limit) {
    if (limit == Duration{}) return false;
    if (is_past(since, limit)) return true;
    next = next == Instant{} ? since + limit : std::min(next, since + limit);
    return false;
  };
  while (Entry* oldest = idle_.back()) {
    if (!is_due(oldest->connection->idle_since, o.idle_timeout)) break;
    traffic().upstream_cx_idle_timeout.inc();
    close_entry(*oldest, FailureKind::kIdleTimeout);
  }
  if (o.max_connection_duration != Duration{}) {
    // The list is sorted by another time, so all are looked at.
    IntrusiveList<Entry, IdleTag> checked;
    while (Entry* entry = idle_.pop_front()) {
      if (is_due(entry->connection->connected_at, o.max_connection_duration)) {
        traffic().upstream_cx_max_duration_reached.inc();
        close_entry(*entry, FailureKind::kNone);
      } else {
        checked.push_back(*entry);
      }
    }
    idle_.splice(checked);
  }
  if (next != Instant{}) loop_.arm_at(idle_timer_, next);
}

void Pool::on_connect_timer() {
  while (Entry* oldest = connecting_.front()) {
    const Instant due = oldest->began + options().connect_timeout;
    if (due > loop_.now()) return loop_.arm_at(connect_timer_, due);
    traffic().upstream_cx_connect_timeout.inc();
    close_entry(*oldest, FailureKind::kConnectTimeout);
  }
}

// --- The end ------------------------------------------------------------------------------------

void Pool::close_entry(Entry& entry, FailureKind kind) { entry.connection->close({kind}); }

void Pool::on_client_closed(http::ClientConnection& connection, Failure failure) {
  const std::unique_ptr<Entry> entry(entry_of(connection));
  entry->ListNode<IdleTag>::unlink();
  entry->ListNode<AllTag>::unlink();
  --open_;
  limits().connections.release();
  count_sent(*entry);
  count_closed(*entry, failure);
  loop_.delete_later(std::move(entry->connection));
  if (entry->connected) return open_for_waiters();
  --connecting_count_;
  traffic().upstream_cx_connect_fail.inc();
  counters_.cx_connect_fail.inc();
  if (closed_) return;
  note_failure(*entry, failure);
  fail_stranded(failure);
}

// Fails the waiters that no connect is left for: as a rule one, which decides whether it tries
// another host.
void Pool::fail_stranded(Failure failure) {
  // They may come back at once; those who do are not failed a second time here.
  IntrusiveList<PoolWaiter, WaiterTag> stranded;
  for (uint32_t n = waiting_; n > connecting_count_; --n) stranded.push_back(*waiters_.pop_front());
  while (PoolWaiter* waiter = stranded.front()) {
    cancel(*waiter);
    traffic().upstream_rq_pending_failure_eject.inc();
    waiter->on_pool_failure(failure);
  }
}

void Pool::drain() {
  draining_ = true;
  while (Entry* entry = idle_.front()) close_entry(*entry, FailureKind::kDraining);
}

void Pool::close_all(Failure failure) {
  draining_ = closed_ = true;
  while (PoolWaiter* waiter = waiters_.front()) {
    cancel(*waiter);
    waiter->on_pool_failure(failure);
  }
  while (Entry* entry = connecting_.front()) entry->connection->close(failure);
  while (Entry* entry = ready_.front()) entry->connection->close(failure);
  idle_timer_.cancel();
  connect_timer_.cancel();
}

void Pool::set_config(std::shared_ptr<const ClusterConfig> config) {
  // What was acquired on other limits could never be given back.
  DASSERT(config->limits == config_->limits || is_empty());
  config_ = std::move(config);
  head_limits_ = options().head_limits;
  if (Entry* oldest = connecting_.front()) {
    loop_.arm_at(connect_timer_, oldest->began + options().connect_timeout);
  }
  if (!idle_.empty()) on_idle_timer();
}

}  // namespace pillion::upstream
