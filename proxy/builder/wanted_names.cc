// What a configuration needs of others by name: route tables and endpoints.
#include <algorithm>

#include "proxy/builder/needs.h"
#include "proxy/builder/scoped_routes.h"
#include "proxy/builder/settle.h"

namespace pillion {
namespace {

using config::is_same_source;
using upstream::ClusterConfig;
using upstream::DiscoveryType;

template <typename Fn>
void for_both_ends(const Piece<CompiledListener>& piece, Fn&& fn) {
  if (piece.newest != nullptr) fn(*piece.newest);
  if (piece.active != nullptr && piece.waits()) fn(*piece.active);
}

template <typename Fn>
void for_both_ends(const Piece<CompiledCluster>& piece, Fn&& fn) {
  const auto look = [&fn](const std::shared_ptr<const CompiledCluster>& cluster) {
    if (cluster != nullptr && cluster->config->type == DiscoveryType::kEds) fn(*cluster->config);
  };
  look(piece.newest);
  if (piece.active != piece.newest) look(piece.active);
}

template <typename Fn>
void for_each_listener(const Resources& resources, Fn&& fn) {
  for (const auto& piece : resources.file_listeners) for_both_ends(piece, fn);
  for (const auto& [name, piece] : resources.listeners) for_both_ends(piece, fn);
}

template <typename Fn>
void for_each_eds_cluster(const Resources& resources, Fn&& fn) {
  for (const auto& piece : resources.file_clusters) for_both_ends(piece, fn);
  for (const auto& [name, piece] : resources.clusters) for_both_ends(piece, fn);
}

void add_once(std::vector<std::string_view>& list, std::string_view text) {
  if (std::ranges::find(list, text) == list.end()) list.push_back(text);
}

// The names of both if anything about them differs.
void touch(const CompiledListener& end, Names& out) {
  for (const auto& [name, table] : end.tables) out.insert(name);
}
// They mostly come in their order.
void touch(const ClusterConfig& end, Names& out) { out.insert(out.end(), end.eds_name); }

// Is a name that both ends have meant alike by them?
bool is_alike(const Piece<CompiledCluster>& a, const Piece<CompiledCluster>& b) {
  if (a.newest == nullptr || a.waits() || b.newest == nullptr || b.waits()) return false;
  const ClusterConfig& x = *a.newest->config;
  const ClusterConfig& y = *b.newest->config;
  return &x == &y ||
         (x.type == y.type && x.eds_name == y.eds_name && x.eds_timeout == y.eds_timeout &&
          x.stat_name == y.stat_name && is_same_source(x.eds_source, y.eds_source));
}
bool is_alike(const Piece<CompiledListener>& a, const Piece<CompiledListener>& b) {
  if (a.newest == nullptr || a.waits() || b.newest == nullptr || b.waits()) return false;
  if (a.newest == b.newest) return true;
  const auto is_same = [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.timeout == y.second.timeout &&
           x.second.stat_prefixes == y.second.stat_prefixes &&
           x.second.on_demand == y.second.on_demand &&
           is_same_source(x.second.source, y.second.source);
  };
  return std::ranges::equal(a.newest->tables, b.newest->tables, is_same);
}

template <typename T>
void touch_piece(const Piece<T>* a, const Piece<T>* b, Names& out) {
  if (a != nullptr && b != nullptr && is_alike(*a, *b)) return;
  for (const Piece<T>* piece : {a, b})
    if (piece != nullptr) for_both_ends(*piece, [&out](const auto& end) { touch(end, out); });
}

// `file`: of both, in the same order unless the file was read again.
template <typename T>
Names touched(const std::vector<Piece<T>>& file_before, const std::vector<Piece<T>>& file_after,
              const Pieces<T>& before, const Pieces<T>& after) {
  Names out;
  const size_t most = std::max(file_before.size(), file_after.size());
  for (size_t i = 0; i < most; ++i)
    touch_piece(i < file_before.size() ? &file_before[i] : nullptr,
                i < file_after.size() ? &file_after[i] : nullptr, out);
  diff(before, after,
       [&out](std::string_view, const Piece<T>* a, const Piece<T>* b) { touch_piece(a, b, out); });
  return out;
}

// Of a name that listeners give a table, the first one says how it is asked for.
void add_wanted(const Resources& resources, const std::string& name,
                const CompiledListener::Table& table, WantedNames& out) {
  if (!table.on_demand || resources.demanded_routes.contains(name))
    out.emplace(name, Wanted{table.timeout, table.source});
}
void add_user(const std::string& name, const CompiledListener::Table& table, ResourceUsers& out) {
  std::vector<std::string_view>& list = out[name];
  for (const std::string& prefix : table.stat_prefixes) add_once(list, prefix);
}

// The tables of these names: listeners name a few, or a few names are asked about.
template <typename Fn>
void for_each_table(const Resources& resources, const Names& names, Fn&& fn) {
  for_each_listener(resources, [&](const CompiledListener& listener) {
    if (names.size() > listener.tables.size()) {
      for (const auto& [name, table] : listener.tables)
        if (names.contains(name)) fn(name, table);
      return;
    }
    for (const std::string& name : names)
      if (const auto it = listener.tables.find(name); it != listener.tables.end())
        fn(it->first, it->second);
  });
}

// The EDS names of a piece of the control plane that are not its own name.
template <typename Fn>
void for_each_other_name(std::string_view cluster, const Piece<CompiledCluster>* piece, Fn&& fn) {
  if (piece == nullptr) return;
  for_both_ends(*piece, [&](const ClusterConfig& config) {
    if (config.eds_name != cluster) fn(config.eds_name);
  });
}
template <typename Fn>
void for_each_rds_name(const Piece<CompiledScope>* piece, Fn&& fn) {
  if (piece == nullptr) return;
  const auto visit = [&fn](const std::shared_ptr<const CompiledScope>& scope) {
    if (scope != nullptr && !scope->config->rds_name.empty()) fn(scope->config->rds_name);
  };
  visit(piece->newest);
  if (piece->active != piece->newest) visit(piece->active);
}

}  // namespace

WantedNames wanted_routes(const Resources& resources) {
  WantedNames names;
  for_each_listener(resources, [&](const CompiledListener& listener) {
    for (const auto& [name, table] : listener.tables) add_wanted(resources, name, table, names);
  });
  add_routes_of_scopes(resources, names);
  return names;
}

WantedNames wanted_endpoints(const Resources& resources) {
  WantedNames names;
  for_each_eds_cluster(resources, [&](const ClusterConfig& cluster) {
    names.emplace(cluster.eds_name, Wanted{cluster.eds_timeout, cluster.eds_source});
  });
  return names;
}

ResourceUsers route_users(const Resources& resources) {
  ResourceUsers users;
  for_each_listener(resources, [&](const CompiledListener& listener) {
    for (const auto& [name, table] : listener.tables) add_user(name, table, users);
  });
  add_users_of_scopes(resources, users);
  return users;
}

ResourceUsers endpoint_users(const Resources& resources) {
  ResourceUsers users;
  for_each_eds_cluster(resources, [&](const ClusterConfig& cluster) {
    add_once(users[cluster.eds_name], cluster.stat_name);
  });
  return users;
}

// ---- by difference ----

void AskersByName::drop(const std::string& name, std::string_view asker) {
  const auto it = askers_.find(name);
  if (it == askers_.end()) return;
  if (const auto one = it->second.find(asker); one != it->second.end()) it->second.erase(one);
  if (it->second.empty()) askers_.erase(it);
}

const Names& AskersByName::of(std::string_view name) const {
  static const Names kNone;
  const auto it = askers_.find(name);
  return it == askers_.end() ? kNone : it->second;
}

Names EndpointNeeds::use(const Resources& before, const Resources& now) {
  diff(before.clusters, now.clusters, [this](std::string_view name, const auto* a, const auto* b) {
    for_each_other_name(name, a, [&](const auto& eds) { called_otherwise_.drop(eds, name); });
    for_each_other_name(name, b, [&](const auto& eds) { called_otherwise_.add(eds, name); });
  });
  return touched(before.file_clusters, now.file_clusters, before.clusters, now.clusters);
}

template <typename Fn>
void EndpointNeeds::for_each_user(const Resources& now, const Names& names, Fn&& fn) const {
  const auto visit = [&names, &fn](const Piece<CompiledCluster>& piece) {
    for_both_ends(piece, [&](const ClusterConfig& config) {
      if (names.contains(config.eds_name)) fn(config);
    });
  };
  for (const auto& piece : now.file_clusters) visit(piece);
  Names clusters;
  for (const std::string& name : names) {
    clusters.insert(clusters.end(), name);
    const Names& others = called_otherwise_.of(name);
    clusters.insert(others.begin(), others.end());
  }
  for (const std::string& cluster : clusters)
    if (const auto it = now.clusters.find(cluster); it != now.clusters.end()) visit(it->second);
}

WantedNames EndpointNeeds::wanted(const Resources& now, const Names& names) const {
  WantedNames out;
  for_each_user(now, names, [&out](const ClusterConfig& cluster) {
    out.emplace(cluster.eds_name, Wanted{cluster.eds_timeout, cluster.eds_source});
  });
  return out;
}

ResourceUsers EndpointNeeds::users(const Resources& now, const Names& names) const {
  ResourceUsers out;
  for_each_user(now, names, [&out](const ClusterConfig& cluster) {
    add_once(out[cluster.eds_name], cluster.stat_name);
  });
  return out;
}

Names RouteNeeds::use(const Resources& before, const Resources& now) {
  Names names = touched(before.file_listeners, now.file_listeners, before.listeners, now.listeners);
  diff(before.demanded_routes, now.demanded_routes,
       [&names](std::string_view name, bool) { names.emplace(name); });
  const bool are_other_askers = touches_srds_listeners(before, now);
  diff(before.scopes, now.scopes, [&](std::string_view scope, const auto* a, const auto* b) {
    for_each_rds_name(a, [&](const std::string& name) {
      scopes_.drop(name, scope);
      names.insert(name);
    });
    for_each_rds_name(b, [&](const std::string& name) {
      scopes_.add(name, scope);
      names.insert(name);
    });
  });
  // Who asks for the tables of scopes, and how, may be others: of all.
  if (are_other_askers)
    for (const auto& [scope, piece] : now.scopes)
      for_each_rds_name(&piece, [&names](const std::string& name) { names.insert(name); });
  return names;
}

// Its newest or the one in force, and a request has asked for it if it must.
bool RouteNeeds::is_named_by_scope(const Resources& now, const std::string& name) const {
  const auto names_it = [&](const std::shared_ptr<const CompiledScope>& scope) {
    const std::string* wanted = scope == nullptr ? nullptr : rds_name_of(*scope, now);
    return wanted != nullptr && *wanted == name;
  };
  return std::ranges::any_of(scopes_.of(name), [&](const std::string& scope) {
    const auto it = now.scopes.find(scope);
    return it != now.scopes.end() && (names_it(it->second.newest) || names_it(it->second.active));
  });
}

WantedNames RouteNeeds::wanted(const Resources& now, const Names& names) const {
  WantedNames out;
  for_each_table(now, names, [&](const std::string& name, const CompiledListener::Table& table) {
    add_wanted(now, name, table, out);
  });
  const std::optional<Wanted> by_scope = wanted_tables_of_scopes(now);
  if (!by_scope) return out;
  for (const std::string& name : names)
    if (is_named_by_scope(now, name)) out.emplace(name, *by_scope);
  return out;
}

Names RouteNeeds::unnamed(const Resources& now, const Names& names) const {
  Names out;
  for (const std::string& name : names)
    if (scopes_.of(name).empty()) out.insert(out.end(), name);
  if (out.empty()) return out;
  Names named;
  for_each_table(now, out, [&named](const std::string& name, const CompiledListener::Table&) {
    named.insert(name);
  });
  for (const std::string& name : named) out.erase(name);
  return out;
}

ResourceUsers RouteNeeds::users(const Resources& now, const Names& names) const {
  ResourceUsers out;
  for_each_table(now, names, [&](const std::string& name, const CompiledListener::Table& table) {
    add_user(name, table, out);
  });
  const std::set<std::string_view> prefixes = prefixes_of_srds(now);
  if (prefixes.empty()) return out;
  for (const std::string& name : names) {
    if (!is_named_by_scope(now, name)) continue;
    for (const std::string_view prefix : prefixes) add_once(out[name], prefix);
  }
  return out;
}

}  // namespace pillion
