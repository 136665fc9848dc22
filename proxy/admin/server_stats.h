#pragma once
// The server.* metrics that nobody keeps up to date: they are read when somebody scrapes.

#include <cstdint>

#include "proxy/admin/server_view.h"
#include "proxy/stats/registry.h"

namespace pillion::admin {

// From now on each scrape of `registry` sets live, state, uptime, concurrency, memory_*,
// total_connections, epoll_refused, days_until_first_cert_expiring and version (`version_number`,
// see counters.inc). Call once; `view` outlives the registry's last scrape.
void keep_server_stats(stats::Registry& registry, const ServerView& view, uint32_t concurrency,
                       uint32_t version_number);

// Whole days; 0 if it is over.
int64_t days_until(WallTime when, WallTime now);
// Of all certificates of all contexts, also of CAs; UINT32_MAX, as in Envoy, if there is none.
int64_t days_until_first_expires(const std::vector<CertificatesStatus>& certificates, WallTime now);

}  // namespace pillion::admin
