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

#include "proxy/resources.h"
#include "proxy/stats/registry.h"
#include "proxy/update_stats.h"
#include "proxy/wanted.h"
#include "xds/source.h"

namespace pillion {

// ---- the builder ----

// What the listener needs for the scoped_routes of one of its connection managers.
void note_scoped_routes(CompiledListener& out, const core::HcmConfig& hcm);

// refuse_second_claim() for keys.
std::string refuse_equal_keys(Pieces<CompiledScope>& scopes, const Pieces<CompiledScope>& before,
                              const std::string& version);

// The RDS names that a scope in one of its states needs: nothing if it has a table of its own, or
// nobody asked for it yet.
[[nodiscard]] const std::string* rds_name_of(const CompiledScope& scope,
                                             const Resources& resources);

// Each is in force when has_table(its RDS name) and none of its clusters is_held_up(clusters).
// Removed ones go at once.
template <typename HasTable, typename IsHeldUp>
void settle_scopes(Resources& resources, HasTable&& has_table, IsHeldUp&& is_held_up) {
  for (auto& [name, piece] : resources.scopes) {
    if (piece.newest == nullptr) {
      piece.active = nullptr;
      continue;
    }
    const std::string* rds_name = rds_name_of(*piece.newest, resources);
    const bool is_ready = rds_name == nullptr || has_table(*rds_name);
    if (is_ready && !is_held_up(piece.newest->clusters)) piece.activate();
  }
  std::erase_if(resources.scopes, [](const auto& item) {
    return item.second.newest == nullptr && !item.second.error;
  });
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

// How long SRDS may take, if a listener needs it.
std::optional<Duration> wanted_scopes(const Resources& resources);
// RDS names that scopes need, the newest and those in force; `names` gets them with their timeouts.
void add_routes_of_scopes(const Resources& resources, WantedNames& names);
// The connection managers that use them; the views are of `resources`.
void add_users_of_scopes(const Resources& resources, ResourceUsers& users);

// http.<prefix>.scoped_rds.<name>.*, for each connection manager with scoped_rds.
class ScopedRdsStats {
 public:
  explicit ScopedRdsStats(stats::Registry& registry) : registry_(registry) {}
  void keep(const Resources& resources);
  // `counts`: of the type; `version`: last accepted.
  void update(const xds::SourceCounts& counts, std::string_view version);
  void on_fetch_timeout();

 private:
  stats::Registry& registry_;
  std::map<std::pair<std::string, std::string>, stats::BlockRef<stats::ScopedRdsStats>> blocks_;
  xds::SourceCounts told_;
  std::shared_ptr<const route::ScopeTable> table_;  // that is counted
};

}  // namespace pillion
