// How long a connection of a Pool stays: idle, in years, and by the number of what it served.
#include <algorithm>

#include "proxy/upstream/pool_entry.h"

namespace pillion::upstream {

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
  if (connection.exchanges() >= connection.max_exchanges()) return true;
  if (!is_past(connection.connected_at, o.max_connection_duration)) return false;
  traffic().upstream_cx_max_duration_reached.inc();
  return true;
}

void Pool::keep(Entry& entry) {
  if (entry.active == 0 && draining_) return close_entry(entry, FailureKind::kDraining);
  make_available(entry);
}

// Those that have room are listed, and those that are idle, because they grow old.
void Pool::make_available(Entry& entry) {
  const bool is_idle = entry.active == 0;
  if (!entry.has_room() && !is_idle) return entry.ListNode<AvailableTag>::unlink();
  if (!entry.ListNode<AvailableTag>::is_linked()) available_.push_front(entry);
  const http::ClientConnection& connection = *entry.connection;
  Instant due{};
  if (is_idle && options().idle_timeout != Duration{}) {
    due = connection.idle_since + options().idle_timeout;
  }
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
  // Those of HTTP/1 are sorted by when they became idle, so that the oldest answers for the rest.
  const bool is_sorted =
      protocol_ == PoolProtocol::kHttp1 && o.max_connection_duration == Duration{};
  IntrusiveList<Entry, AvailableTag> checked;
  while (Entry* entry = available_.pop_back()) {
    if (entry->active == 0 && is_due(entry->connection->idle_since, o.idle_timeout)) {
      traffic().upstream_cx_idle_timeout.inc();
      close_entry(*entry, FailureKind::kIdleTimeout);
    } else if (is_due(entry->connection->connected_at, o.max_connection_duration)) {
      traffic().upstream_cx_max_duration_reached.inc();
      retire(*entry, FailureKind::kNone);
    } else {
      checked.push_front(*entry);
      if (is_sorted) break;
    }
  }
  available_.splice(checked);
  if (next != Instant{}) loop_.arm_at(idle_timer_, next);
}

}  // namespace pillion::upstream
