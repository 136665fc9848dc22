#include "proxy/builder/scoped_routes.h"

#include <algorithm>

#include "proxy/base/str.h"
#include "proxy/config/suggest.h"

namespace pillion {
namespace {

// The listeners of both kinds, the newest and those in force.
template <typename Fn>
void for_each_srds(const Resources& resources, Fn&& fn) {
  const auto visit = [&fn](const Piece<CompiledListener>& piece) {
    if (piece.newest != nullptr && piece.newest->srds) fn(*piece.newest->srds);
    if (piece.active != nullptr && piece.waits() && piece.active->srds) fn(*piece.active->srds);
  };
  for (const auto& piece : resources.file_listeners) visit(piece);
  for (const auto& [name, piece] : resources.listeners) visit(piece);
}

template <typename Fn>
void for_each_rds_name(const Resources& resources, Fn&& fn) {
  const auto visit = [&](const std::shared_ptr<const CompiledScope>& scope) {
    if (scope == nullptr) return;
    if (const std::string* name = rds_name_of(*scope, resources)) fn(*name);
  };
  for (const auto& [name, piece] : resources.scopes) {
    visit(piece.newest);
    if (piece.active != piece.newest) visit(piece.active);
  }
}

bool asks_alike(const std::shared_ptr<const CompiledListener>& a,
                const std::shared_ptr<const CompiledListener>& b) {
  const bool has_a = a != nullptr && a->srds;
  const bool has_b = b != nullptr && b->srds;
  if (a == b || !has_a || !has_b) return has_a == has_b;
  const CompiledListener::Srds& x = *a->srds;
  const CompiledListener::Srds& y = *b->srds;
  return x.timeout == y.timeout && x.rds_timeout == y.rds_timeout && x.users == y.users &&
         config::is_same_source(x.source, y.source) &&
         config::is_same_source(x.rds_source, y.rds_source);
}
bool asks_alike(const Piece<CompiledListener>* a, const Piece<CompiledListener>* b) {
  static const Piece<CompiledListener> kNone;
  const Piece<CompiledListener>& x = a == nullptr ? kNone : *a;
  const Piece<CompiledListener>& y = b == nullptr ? kNone : *b;
  return asks_alike(x.newest, y.newest) && asks_alike(x.active, y.active);
}

}  // namespace

void note_scoped_routes(CompiledListener& out, const core::HcmConfig& hcm) {
  const core::ScopedRoutes& scoped = *hcm.scoped;
  if (scoped.srds_timeout) {
    if (!out.srds) out.srds = CompiledListener::Srds{};
    out.srds->scopes = hcm.scopes;
    out.srds->timeout = *scoped.srds_timeout;
    out.srds->source = scoped.srds_source;
    out.srds->rds_timeout = scoped.rds_timeout;
    out.srds->rds_source = scoped.rds_source;
    out.srds->users.emplace(hcm.stat_prefix, scoped.name);
    return;
  }
  for (const route::ScopeTable::Scope& scope : hcm.scopes->scopes()) {
    const route::ScopeConfig& config = *scope.config;
    if (config.rds_name.empty()) continue;
    const auto [it, is_new] = out.tables.try_emplace(config.rds_name);
    CompiledListener::Table& entry = it->second;
    entry.table = scope.table;
    entry.timeout = scoped.rds_timeout;
    entry.source = scoped.rds_source;
    entry.on_demand = config.on_demand && (is_new || entry.on_demand);
    if (config.use != nullptr) entry.uses.push_back(config.use);
    entry.stat_prefixes.insert(hcm.stat_prefix);
  }
}

std::vector<SecondClaim> refuse_equal_keys(Pieces<CompiledScope>& scopes,
                                           const Pieces<CompiledScope>& before,
                                           const std::string& version) {
  return refuse_second_claims(
      scopes, before, version,
      [](const std::string& name, const CompiledScope& value, auto&& claim) {
        claim(value.config->key, name);
      },
      [](const std::string& name, const std::vector<std::string>&, const std::string& owner) {
        return str("srds/", config::printable(name), ": key: is already that of the scope \"",
                   config::printable(owner), "\"\n");
      });
}

const std::string* rds_name_of(const CompiledScope& scope, const Resources& resources) {
  const route::ScopeConfig& config = *scope.config;
  if (config.rds_name.empty()) return nullptr;
  if (config.on_demand && !resources.demanded_routes.contains(config.rds_name)) return nullptr;
  return &config.rds_name;
}

std::optional<Wanted> wanted_scopes(const Resources& resources) {
  std::optional<Wanted> wanted;
  for_each_srds(resources, [&wanted](const CompiledListener::Srds& srds) {
    if (!wanted) wanted = Wanted{srds.timeout, srds.source};
    wanted->timeout = std::min(wanted->timeout, srds.timeout);
  });
  return wanted;
}

std::optional<Wanted> wanted_tables_of_scopes(const Resources& resources) {
  std::optional<Wanted> wanted;
  for_each_srds(resources, [&wanted](const CompiledListener::Srds& srds) {
    if (!wanted) wanted = Wanted{srds.rds_timeout, srds.rds_source};
  });
  return wanted;
}

void add_routes_of_scopes(const Resources& resources, WantedNames& names) {
  const std::optional<Wanted> wanted = wanted_tables_of_scopes(resources);
  if (!wanted) return;
  for_each_rds_name(resources, [&](const std::string& name) { names.emplace(name, *wanted); });
}

std::set<std::string_view> prefixes_of_srds(const Resources& resources) {
  std::set<std::string_view> prefixes;
  for_each_srds(resources, [&prefixes](const CompiledListener::Srds& srds) {
    for (const auto& user : srds.users) prefixes.insert(user.first);
  });
  return prefixes;
}

void add_users_of_scopes(const Resources& resources, ResourceUsers& users) {
  const std::set<std::string_view> prefixes = prefixes_of_srds(resources);
  if (prefixes.empty()) return;
  for_each_rds_name(resources, [&](const std::string& name) {
    std::vector<std::string_view>& list = users[name];
    for (const std::string_view prefix : prefixes) {
      if (std::ranges::find(list, prefix) == list.end()) list.push_back(prefix);
    }
  });
}

Names take_used_tables(const Resources& resources) {
  Names used;
  for (const auto& [name, piece] : resources.scopes) {
    if (piece.active == nullptr || piece.active->config->use == nullptr) continue;
    if (piece.active->config->use->take()) used.insert(piece.active->config->rds_name);
  }
  const auto look = [&used](const Piece<CompiledListener>& piece) {
    if (piece.active == nullptr) return;
    for (const auto& [name, table] : piece.active->tables)
      for (const auto& use : table.uses)
        if (use->take()) used.insert(name);
  };
  for (const auto& piece : resources.file_listeners) look(piece);
  for (const auto& [name, piece] : resources.listeners) look(piece);
  return used;
}

bool touches_scopes(const Resources& before, const Resources& after) {
  bool touches = before.scope_table != after.scope_table;
  diff(before.scopes, after.scopes, [&touches](std::string_view, auto*, auto*) { touches = true; });
  return touches || touches_srds_listeners(before, after);
}

// By the fields that say who asks for what; a listener is another one with each table of scopes.
bool touches_srds_listeners(const Resources& before, const Resources& after) {
  bool touches = false;
  diff(before.listeners, after.listeners,
       [&](std::string_view, const auto* a, const auto* b) { touches |= !asks_alike(a, b); });
  // The file's are few, and in the same order unless it was read again.
  const size_t most = std::max(before.file_listeners.size(), after.file_listeners.size());
  for (size_t i = 0; i < most; ++i) {
    const auto* a = i < before.file_listeners.size() ? &before.file_listeners[i] : nullptr;
    const auto* b = i < after.file_listeners.size() ? &after.file_listeners[i] : nullptr;
    touches |= !asks_alike(a, b);
  }
  return touches;
}

// ---- counters ----

std::set<std::pair<std::string, std::string>> users_of_scopes(const Resources& resources) {
  std::set<std::pair<std::string, std::string>> users;
  for_each_srds(resources, [&users](const CompiledListener::Srds& srds) {
    users.insert(srds.users.begin(), srds.users.end());
  });
  return users;
}

void ScopedRdsStats::keep(const Resources& resources) {
  const std::set<std::pair<std::string, std::string>> users = users_of_scopes(resources);
  int64_t all = 0, active = 0, on_demand = 0;
  for (const auto& [name, piece] : resources.scopes) {
    all += piece.newest != nullptr;
    on_demand += piece.newest != nullptr && piece.newest->config->on_demand;
  }
  if (resources.scope_table != nullptr) {
    for (const auto& scope : resources.scope_table->scopes()) active += scope.table != nullptr;
  }
  const bool is_new = table_ != resources.scope_table;
  table_ = resources.scope_table;
  SourceStats::keep(users, [this](const auto& user) {
    return registry_.block<stats::ScopedRdsStats>(stats::kControl, user.first, user.second);
  });
  SourceStats::for_each([&](const auto&, stats::ScopedRdsStats& block) {
    block.all_scopes.set(all);
    block.active_scopes.set(active);
    block.on_demand_scopes.set(on_demand);
    if (!is_new || table_ == nullptr) return;
    block.config_reload.inc();
    block.config_reload_time_ms.set(to_millis(wall_now().time_since_epoch()));
  });
}

void ScopedRdsStats::on_taken(const Resources& resources, Duration took) {
  SourceStats::on_taken(took);
  if (!resources.scopes.empty()) return;
  SourceStats::for_each(
      [](const auto&, stats::ScopedRdsStats& block) { block.update_empty.inc(); });
}

}  // namespace pillion
