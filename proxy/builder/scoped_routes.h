#pragma once
// Scopes that come by SRDS, among the pieces of a configuration (resources.h).  Internal to the
// builder and to control.
//
// A control plane has one set of scopes, which all connection managers with scoped_rds share; each
// builds keys in a way of its own.

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "proxy/builder/claims.h"
#include "proxy/builder/resources.h"
#include "proxy/builder/update_stats.h"
#include "proxy/builder/wanted.h"
#include "proxy/stats/registry.h"
#include "xds/source.h"

namespace pillion {

// ---- the builder ----

// What the listener needs for the scoped_routes of one of its connection managers.
void note_scoped_routes(CompiledListener& out, const core::HcmConfig& hcm);

// refuse_second_claims() for keys.
std::vector<SecondClaim> refuse_equal_keys(Pieces<CompiledScope>& scopes,
                                           const Pieces<CompiledScope>& before,
                                           const std::string& version);

// The RDS names that a scope in one of its states needs: nothing if it has a table of its own, or
// nobody asked for it yet.
[[nodiscard]] const std::string* rds_name_of(const CompiledScope& scope,
                                             const Resources& resources);

// Does it need SRDS, and what is in force of it not?  Then it waits for the first scopes and their
// tables; later ones take effect one by one.
[[nodiscard]] inline bool begins_with_scopes(const Piece<CompiledListener>& piece) {
  return piece.newest->srds && (piece.active == nullptr || !piece.active->srds);
}

// Each is in force when has_table(its RDS name), and not awaits_clusters(its name).
// Removed ones go at once.
template <typename HasTable, typename AwaitsClusters>
void settle_scopes(Resources& resources, HasTable&& has_table, AwaitsClusters&& awaits_clusters) {
  std::vector<std::string> complete, ready, removed;
  bool waits = false;
  for (const auto& [name, piece] : resources.scopes) {
    if (piece.newest == nullptr) {
      if (piece.active != nullptr || !piece.error) removed.push_back(name);
      continue;
    }
    if (!piece.waits()) continue;
    const std::string* rds_name = rds_name_of(*piece.newest, resources);
    if (rds_name == nullptr || has_table(*rds_name)) {
      complete.push_back(name);
    } else {
      waits = true;
    }
  }
  for (std::string& name : complete) {
    if (awaits_clusters(name)) {
      waits = true;
    } else {
      ready.push_back(std::move(name));
    }
  }
  for (const std::string& name : ready) resources.scopes[name].activate();
  for (const std::string& name : removed) {
    if (resources.scopes.find(name)->second.error) {
      resources.scopes[name].active = nullptr;
    } else {
      resources.scopes.erase(name);
    }
  }
  resources.unsettled.scopes = waits;
  if (!ready.empty() || !removed.empty()) resources.wanted_routes = nullptr;
}

// Makes resources.scope_table anew if a scope or a table is another one.  table(name): that in
// force under an RDS name, or null.
template <typename Table>
void index_scopes(Resources& resources, Table&& table) {
  if (!resources.has_scopes) return;
  std::vector<route::ScopeTable::Scope> scopes;
  for (const auto& [name, piece] : resources.scopes) {
    if (piece.active == nullptr) continue;
    const route::ScopeConfig& config = *piece.active->config;
    scopes.push_back(
        {piece.active->config, config.table != nullptr ? config.table : table(config.rds_name)});
  }
  const auto is_same = [](const route::ScopeTable::Scope& a, const route::ScopeTable::Scope& b) {
    return a.config == b.config && a.table == b.table;
  };
  if (resources.scope_table != nullptr &&
      std::ranges::equal(scopes, resources.scope_table->scopes(), is_same))
    return;
  resources.scope_table = std::make_shared<const route::ScopeTable>(std::move(scopes));
}

// ---- control ----

// How long SRDS may take and who is asked for it, if a listener needs it.
std::optional<Wanted> wanted_scopes(const Resources& resources);
// Of the tables that its scopes name, likewise.
std::optional<Wanted> wanted_tables_of_scopes(const Resources& resources);
// RDS names that scopes need, the newest and those in force; `names` gets them with their timeouts.
void add_routes_of_scopes(const Resources& resources, WantedNames& names);
// The connection managers that use them; the views are of `resources`.
void add_users_of_scopes(const Resources& resources, ResourceUsers& users);
// stat_prefix of the connection managers with SRDS; the views are of `resources`.
std::set<std::string_view> prefixes_of_srds(const Resources& resources);
// May a listener with SRDS say something else in `after` than in `before`?
bool touches_srds_listeners(const Resources& before, const Resources& after);
// May anything here?
bool touches_scopes(const Resources& before, const Resources& after);

// RDS names of on-demand scopes in force that requests have used since the last call.
Names take_used_tables(const Resources& resources);

// stat_prefix and scoped_routes.name of the connection managers that use them.
std::set<std::pair<std::string, std::string>> users_of_scopes(const Resources& resources);

// http.<prefix>.scoped_rds.<name>.*, for each connection manager with scoped_rds.
class ScopedRdsStats
    : private SourceStats<stats::ScopedRdsStats, std::pair<std::string, std::string>> {
 public:
  explicit ScopedRdsStats(stats::Registry& registry) : registry_(registry) {}
  void keep(const Resources& resources);
  // An update was accepted, and is a part of these.
  void on_taken(const Resources& resources, Duration took);
  using SourceStats::on_fetch_timeout;
  using SourceStats::update;

 private:
  stats::Registry& registry_;
  std::shared_ptr<const route::ScopeTable> table_;  // that is counted
};

}  // namespace pillion
