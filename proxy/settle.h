#pragma once
// Which pieces of a configuration take effect now, and which wait (see resources.h).  Internal to
// the builder.

#include <set>
#include <string>

#include "proxy/compile.h"
#include "proxy/resources.h"
#include "proxy/update_stats.h"
#include "proxy/wanted.h"

namespace pillion {

struct Settled {
  static const std::set<std::string>& none() {
    static const std::set<std::string> kNone;
    return kNone;
  }
  const std::set<std::string>& endpoints;        // BuildJob::endpoints
  const std::set<std::string>& given_up_routes;  // BuildJob::given_up_routes
  Instant now;
  const std::set<std::string>& given_up_extensions = none();  // BuildJob's
  bool given_up_scopes = false;                               // BuildJob::given_up_scopes
  bool given_up_virtual_hosts = false;                        // BuildJob::given_up_virtual_hosts
};

// How long a cluster that CDS has removed stays, while routes in force name it: their update may be
// on its way.
inline constexpr Duration kLingerTime = std::chrono::seconds(15);
// How long routes and listeners wait for the endpoints of a new cluster that itself waits for ever
// (initial_fetch_timeout: 0s).
inline constexpr Duration kHoldTime = std::chrono::seconds(15);

// RDS names that listeners need, the newest and those in force.
WantedNames wanted_routes(const Resources& resources);
// EDS names likewise.
WantedNames wanted_endpoints(const Resources& resources);
// The same names; stat_prefix of the connection managers, and names of clusters in counters.
ResourceUsers route_users(const Resources& resources);
ResourceUsers endpoint_users(const Resources& resources);

// Moves `active` of each piece as far as it may go.
void settle(Resources& resources, Compiler& compiler, const Settled& settled);

}  // namespace pillion
