#include "proxy/upstream/pool.h"

#include <algorithm>
#include <utility>

#include "proxy/base/assert.h"
#include "proxy/upstream/pool_entry.h"

namespace pillion::upstream {

Pool::Pool(const Context& context, const HostInfo& host, HostCounters& counters,
           PoolProtocol protocol)
    : loop_(context.loop),
      batch_(context.batch),
      stats_(context.stats),
      config_(context.config),
      host_(host),
      tls_(options().tls_for(host.transport())),
      counters_(counters),
      head_limits_(config_->pool->head_limits),
      h2_options_(config_->pool->h2),
      expected_streams_(protocol == PoolProtocol::kHttp1 ? 1 : h2_options_.max_concurrent_streams),
      protocol_(protocol) {}

Pool::~Pool() { DASSERT(open_ == 0 && waiters_.empty()); }

// --- Waiters ------------------------------------------------------------------------------------

http::ClientConnection* Pool::acquire(PoolWaiter& waiter, Failure* refused) {
  if (closed_) {
    *refused = {FailureKind::kHostRemoved};
    return nullptr;
  }
  bool promised = false;
  if (Entry* entry = find_room(&promised)) return &take(*entry);
  if (!limits().pending.try_acquire(options().limits.max_pending)) {
    traffic().upstream_rq_pending_overflow.inc();
    *refused = {FailureKind::kOverflow};
    return nullptr;
  }
  waiters_.push_back(waiter);
  ++waiting_;
  traffic().upstream_rq_pending_total.inc();
  traffic().upstream_rq_pending_active.inc();
  if (!promised) open_soon();
  return nullptr;
}

// `*promised`: one that is not here will tell in this turn whether it has room, or that it is gone.
Pool::Entry* Pool::find_room(bool* promised) {
  for (Entry* next = available_.front(); next != nullptr;) {
    Entry& entry = *next;
    next = available_.next(entry);
    if (!entry.has_room()) continue;  // an idle one whose peer allows nothing
    const bool is_idle = entry.active == 0;
    // Its peer closed it, or said something; which of both is known later in this turn.
    if (is_idle && entry.transport->has_news()) {
      const bool may_speak = entry.connection->protocol() == http::Protocol::kHttp2;
      if (may_speak && promised != nullptr) *promised = true;
      // A timer comes up to a slot late.
    } else if (is_idle && is_past(entry.connection->idle_since, options().idle_timeout)) {
      traffic().upstream_cx_idle_timeout.inc();
      close_entry(entry, FailureKind::kIdleTimeout);
    } else if (is_used_up(entry)) {
      retire(entry, FailureKind::kNone);
    } else {
      return &entry;
    }
  }
  return nullptr;
}

http::ClientConnection& Pool::take(Entry& entry) noexcept {
  traffic().upstream_rq_total.inc();  // each attempt that gets a connection
  ++entry.active;
  if (!entry.has_room()) entry.ListNode<AvailableTag>::unlink();
  return *entry.connection;
}

void Pool::cancel(PoolWaiter& waiter) {
  if (!waiter.ListNode<WaiterTag>::is_linked()) return;
  waiter.ListNode<WaiterTag>::unlink();
  --waiting_;
  limits().pending.release();
  traffic().upstream_rq_pending_active.dec();
}

// A waiter may do anything when it is called, so that nothing is kept from one round to the next.
void Pool::serve_waiters() {
  while (PoolWaiter* waiter = waiters_.front()) {
    Entry* entry = find_room();
    if (entry == nullptr) return;
    cancel(*waiter);
    waiter->on_pool_ready(take(*entry));
  }
}

// Fails the waiters that no connect is left for: as a rule one of HTTP/1, which decides whether it
// tries another host.
void Pool::fail_stranded(Failure failure) {
  // They may come back at once; those who do are not failed a second time here.
  IntrusiveList<PoolWaiter, WaiterTag> stranded;
  for (uint32_t n = waiting_; n > planned_ + due(); --n) stranded.push_back(*waiters_.pop_front());
  while (PoolWaiter* waiter = stranded.front()) {
    cancel(*waiter);
    traffic().upstream_rq_pending_failure_eject.inc();
    waiter->on_pool_failure(failure);
  }
}

// --- Between exchanges --------------------------------------------------------------------------

void Pool::on_client_idle(http::ClientConnection& connection) {
  Entry& entry = *entry_of(connection);
  if (--entry.active == 0) connection.idle_since = loop_.now();
  count_sent(entry);
  if (entry.leaving) {
    if (entry.active == 0) close_entry(entry, FailureKind::kNone);
    return;
  }
  if (is_used_up(entry)) return retire(entry, FailureKind::kNone);
  serve_or_keep(entry);
}

void Pool::on_client_room(http::ClientConnection& connection) {
  Entry& entry = *entry_of(connection);
  if (!entry.connected || entry.leaving) return;
  expected_streams_ = std::max(connection.max_streams(), 1u);
  serve_or_keep(entry);
  open_soon();  // it may allow fewer than was hoped for
}

void Pool::on_client_leaving(http::ClientConnection& connection) {
  Entry& entry = *entry_of(connection);
  if (entry.leaving) return;
  traffic().upstream_cx_close_notify.inc();
  retire(entry, FailureKind::kNone);
  open_soon();
}

void Pool::serve_or_keep(Entry& entry) {
  if (waiters_.empty()) return keep(entry);
  make_available(entry);
  serve_waiters();
}

// --- The end ------------------------------------------------------------------------------------

void Pool::close_entry(Entry& entry, FailureKind kind) { entry.connection->close({kind}); }

void Pool::retire(Entry& entry, FailureKind kind) {
  entry.leaving = true;
  entry.ListNode<AvailableTag>::unlink();
  if (entry.active == 0) close_entry(entry, kind);
}

void Pool::on_client_closed(http::ClientConnection& connection, Failure failure) {
  const std::unique_ptr<Entry> entry(entry_of(connection));
  entry->ListNode<AvailableTag>::unlink();
  entry->ListNode<AllTag>::unlink();
  --open_;
  limits().connections.release();
  count_sent(*entry);
  count_closed(*entry, failure);
  loop_.delete_later(std::move(entry->connection));
  if (entry->connected) return open_soon();
  planned_ -= entry->planned;
  traffic().upstream_cx_connect_fail.inc();
  counters_.cx_connect_fail.inc();
  if (closed_) return;
  note_failure(*entry, failure);
  fail_stranded(failure);
}

void Pool::drain() {
  draining_ = true;
  close_idle();
}

void Pool::close_idle() {
  for (Entry* next = available_.front(); next != nullptr;) {
    Entry& entry = *next;
    next = available_.next(entry);
    if (entry.active == 0) close_entry(entry, FailureKind::kDraining);
  }
}

void Pool::close_all(Failure failure) {
  draining_ = closed_ = true;
  while (PoolWaiter* waiter = waiters_.front()) {
    cancel(*waiter);
    waiter->on_pool_failure(failure);
  }
  io::ReadyTask::unlink();
  while (Entry* entry = connecting_.front()) entry->connection->close(failure);
  while (Entry* entry = ready_.front()) entry->connection->close(failure);
  idle_timer_.cancel();
  connect_timer_.cancel();
}

void Pool::set_config(std::shared_ptr<const ClusterConfig> config) {
  // What was acquired on other limits could never be given back.
  DASSERT(config->limits == config_->limits || is_empty());
  config_ = std::move(config);
  tls_ = options().tls_for(host_.transport());
  head_limits_ = options().head_limits;
  h2_options_ = options().h2;
  if (Entry* oldest = connecting_.front()) {
    loop_.arm_at(connect_timer_, oldest->began + options().connect_timeout);
  }
  if (!available_.empty()) on_idle_timer();
}

}  // namespace pillion::upstream
