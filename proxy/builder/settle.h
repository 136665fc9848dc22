#pragma once
// Which pieces of a configuration take effect now, and which wait (see resources.h); settle.cc and,
// of clusters, settle_clusters.cc.
// What they need of others by name, which control asks for; wanted_names.cc.

#include <set>
#include <string>

#include "proxy/builder/compile.h"
#include "proxy/builder/listen_addresses.h"
#include "proxy/builder/resources.h"
#include "proxy/builder/update_stats.h"
#include "proxy/builder/wanted.h"
#include "proxy/builder/warming.h"

namespace pillion {

struct Settled {
  static const std::set<std::string>& none() {
    static const std::set<std::string> kNone;
    return kNone;
  }
  static const WarmClusters& no_clusters() {
    static const WarmClusters kNone;
    return kNone;
  }
  static const tls::SettledSecrets& no_secrets() {
    static const tls::SettledSecrets kNone;
    return kNone;
  }
  const SharedNames& endpoints;                  // BuildJob::endpoints
  const std::set<std::string>& given_up_routes;  // BuildJob::given_up_routes
  Instant now;
  const std::set<std::string>& given_up_extensions = none();  // BuildJob's
  bool given_up_scopes = false;                               // BuildJob::given_up_scopes
  bool given_up_virtual_hosts = false;                        // BuildJob::given_up_virtual_hosts
  const HeldListeners* held_listeners = nullptr;              // BuildJob's; null: none
  const WarmClusters& warm = no_clusters();                   // BuildJob::warm
  const tls::SettledSecrets& secrets = no_secrets();          // BuildJob::settled_secrets
  bool takes_file_whole = true;     // it was read: its pieces wait for neither of the last two
  bool asks_for_clusters = false;   // there is CDS
  std::string* warnings = nullptr;  // a line each
};

// How long a cluster that CDS has removed stays, while routes in force name it: their update may be
// on its way.
inline constexpr Duration kLingerTime = std::chrono::seconds(15);
// How long what takes the place of routes, filters or listeners in force waits for clusters that
// CDS has not told of; see unknown_clusters.h.
inline constexpr Duration kAnnounceTime = std::chrono::seconds(5);
// How long routes and listeners wait for the endpoints of a new cluster that itself waits for ever
// (initial_fetch_timeout: 0s).
inline constexpr Duration kHoldTime = std::chrono::seconds(15);

// RDS names that listeners and scopes need, the newest and those in force; EDS names likewise. They
// look at all; by difference: needs.h.
WantedNames wanted_routes(const Resources& resources);
WantedNames wanted_endpoints(const Resources& resources);
// The same names; stat_prefix of the connection managers, and names of clusters in counters.
ResourceUsers route_users(const Resources& resources);
ResourceUsers endpoint_users(const Resources& resources);

// Moves `active` of each piece as far as it may go.  Looks at resources.unsettled and the file's
// pieces, and at what uses tables, filters or scopes that have changed; all others are as they can
// be.
void settle(Resources& resources, Compiler& compiler, const Settled& settled);

}  // namespace pillion
