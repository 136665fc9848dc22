#include "proxy/admin/server_stats.h"

#include <algorithm>
#include <memory>

#include "proxy/admin/memory.h"
#include "proxy/io/poller.h"

namespace pillion::admin {
namespace {

int64_t total_connections(const stats::Registry& registry) {
  const auto rows = stats::kind_info(stats::Kind::kListenerStats).rows;
  const auto row = std::find_if(rows.begin(), rows.end(), [](const stats::Row& r) {
    return r.raw == "downstream_cx_active";
  });
  int64_t total = 0;
  stats::RowValue value;
  for (const auto& scope : registry.scopes(stats::Kind::kListenerStats)) {
    if (registry.read(*scope, *row, value)) total += value.number;
  }
  return total;
}

}  // namespace

int64_t days_until(WallTime when, WallTime now) {
  const auto hours = std::chrono::duration_cast<std::chrono::hours>(when - now);
  return std::max<int64_t>(0, hours.count() / 24);
}

int64_t days_until_first_expires(const std::vector<CertificatesStatus>& certificates,
                                 WallTime now) {
  int64_t days = UINT32_MAX;
  const auto look = [&](const std::vector<CertificateStatus>& list) {
    for (const CertificateStatus& c : list) {
      days = std::min(days, days_until(c.expiration, now));
    }
  };
  for (const CertificatesStatus& context : certificates) {
    look(context.ca_cert);
    look(context.cert_chain);
  }
  return days;
}

void keep_server_stats(stats::Registry& registry, const ServerView& view, uint32_t concurrency,
                       uint32_t version_number) {
  auto hold = std::make_shared<stats::BlockRef<stats::ServerStats>>(
      registry.block<stats::ServerStats>(stats::kControl));
  (*hold)->concurrency.set(concurrency);
  (*hold)->version.set(version_number);
  (*hold)->hot_restart_epoch.set(0);
  (*hold)->parent_connections.set(0);
  registry.on_scrape([hold, &registry, &view] {
    stats::ServerStats& stats = **hold;
    const ServerState state = view.state();
    stats.state.set(static_cast<int64_t>(state));
    stats.live.set(state == ServerState::kLive ? 1 : 0);
    stats.uptime.set(view.uptime().count());
    stats.total_connections.set(total_connections(registry));
    stats.days_until_first_cert_expiring.set(
        days_until_first_expires(view.certificates(), wall_now()));
    stats.epoll_refused.add(io::Poller::refusals() - stats.epoll_refused.value());
    const MemoryUse memory = read_memory_use();
    stats.memory_allocated.set(static_cast<int64_t>(memory.allocated));
    stats.memory_heap_size.set(static_cast<int64_t>(memory.heap));
    stats.memory_physical_size.set(static_cast<int64_t>(memory.physical));
  });
}

}  // namespace pillion::admin
