#pragma once
// Virtual hosts that come by VHDS (envoy.config.route.v3.Vhds), among the pieces of a configuration
// (resources.h): each is compiled alone, and joined to the route table that its name begins with,
// "<route table>/<host>".  Internal to the builder and to control.
//
// What the table has itself comes first: a domain of its own stays its own.

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/builder/claims.h"
#include "proxy/builder/resources.h"
#include "proxy/builder/update_stats.h"
#include "proxy/builder/wanted.h"
#include "proxy/stats/registry.h"
#include "xds/source.h"

namespace pillion {

// "<route table>" of the name of a virtual host; empty if it has none.  Names of tables may have
// slashes, hosts have none.
std::string_view table_of_host(std::string_view name);

// Calls fn(name of the resource, what is compiled) for the hosts of one table that are in force, in
// the order of these names; of those that are called alike for the first.
template <typename Fn>
void for_each_virtual_host(const Pieces<CompiledVirtualHost>& pieces, std::string_view table,
                           Fn&& fn) {
  std::set<std::string_view> names;
  const std::string prefix = str(table, '/');
  for (auto it = pieces.lower_bound(prefix);
       it != pieces.end() && it->first.view().starts_with(prefix); ++it) {
    const auto& active = it->second.active;
    if (active == nullptr || table_of_host(it->first) != table) continue;
    if (names.insert(active->host->name).second) fn(it->first, active);
  }
}

// The longest reply that a virtual host may carry, as tables that have VHDS say.
uint32_t reply_limit(const Resources& resources);
// Has any table VHDS, the newest or that in force; that of this name?
bool has_vhds(const Resources& resources);
bool has_vhds(const Resources& resources, std::string_view table);

// refuse_second_claims() for domains.  Resources that bring one virtual host under several names
// may share its domains.
std::vector<SecondClaim> refuse_equal_domains(Pieces<CompiledVirtualHost>& hosts,
                                              const Pieces<CompiledVirtualHost>& before,
                                              const std::string& version);

// Makes those of resources.joined_routes anew whose table or hosts are others; only what is in
// force counts.  `changed`: tables of which another one is in force, or none; gets those whose
// hosts are others too.
void join_virtual_hosts(Resources& resources, Names& changed);

// stat_prefix of the connection managers that use tables with VHDS, and the names of these.
std::set<std::pair<std::string, std::string>> users_of_vhds(const Resources& resources);

// http.<prefix>.rds.vhds.<route table>.*, for each of them.  Control's.
class VhdsStats : private SourceStats<stats::VhdsStats, std::pair<std::string, std::string>> {
 public:
  explicit VhdsStats(stats::Registry& registry) : registry_(registry) {}
  // These tables may have got VHDS, or lost it, or may have other users.
  void change(const Names& tables, const Resources& resources, const ResourceUsers& users);
  // An update was accepted, and is a part of these.
  void on_taken(const Resources& resources, Duration took);
  using SourceStats::on_fetch_timeout;
  using SourceStats::update;

 private:
  stats::Registry& registry_;
  std::map<std::string, Names, std::less<>> users_;         // of each table
  SharedMap<std::shared_ptr<const JoinedRoutes>> counted_;  // of the last on_taken()
};

}  // namespace pillion
