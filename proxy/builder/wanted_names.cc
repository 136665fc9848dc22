// What a configuration needs of others by name: route tables and endpoints.
#include <algorithm>
#include <iterator>

#include "proxy/builder/scoped_routes.h"
#include "proxy/builder/settle.h"

namespace pillion {
namespace {

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

bool is_asked(const Names* only, std::string_view name) {
  return only == nullptr || only->contains(name);
}

void add_once(std::vector<std::string_view>& list, std::string_view text) {
  if (std::ranges::find(list, text) == list.end()) list.push_back(text);
}

// The names of both if anything about them differs.
void touch(const CompiledListener& end, Names& out) {
  for (const auto& [name, table] : end.tables) out.insert(name);
}
void touch(const ClusterConfig& end, Names& out) { out.insert(end.eds_name); }

bool is_same_source(const config::ConfigSourcePtr& a, const config::ConfigSourcePtr& b) {
  return a == b || (a != nullptr && b != nullptr && a->key == b->key);
}

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

}  // namespace

WantedNames wanted_routes(const Resources& resources, const Names* only) {
  WantedNames names;
  for_each_listener(resources, [&](const CompiledListener& listener) {
    for (const auto& [name, table] : listener.tables) {
      if (!is_asked(only, name)) continue;
      if (table.on_demand && !resources.demanded_routes.contains(name)) continue;
      names.emplace(name, Wanted{table.timeout, table.source});
    }
  });
  add_routes_of_scopes(resources, names, only);
  return names;
}

WantedNames wanted_endpoints(const Resources& resources, const Names* only) {
  WantedNames names;
  for_each_eds_cluster(resources, [&](const ClusterConfig& cluster) {
    if (is_asked(only, cluster.eds_name))
      names.emplace(cluster.eds_name, Wanted{cluster.eds_timeout, cluster.eds_source});
  });
  return names;
}

ResourceUsers route_users(const Resources& resources, const Names* only) {
  ResourceUsers users;
  for_each_listener(resources, [&](const CompiledListener& listener) {
    for (const auto& [name, table] : listener.tables) {
      if (!is_asked(only, name)) continue;
      std::vector<std::string_view>& list = users[name];
      for (const std::string& prefix : table.stat_prefixes) add_once(list, prefix);
    }
  });
  add_users_of_scopes(resources, users, only);
  return users;
}

ResourceUsers endpoint_users(const Resources& resources, const Names* only) {
  ResourceUsers users;
  for_each_eds_cluster(resources, [&](const ClusterConfig& cluster) {
    if (is_asked(only, cluster.eds_name)) add_once(users[cluster.eds_name], cluster.stat_name);
  });
  return users;
}

Names touched_routes(const Resources& before, const Resources& after) {
  Names names =
      touched(before.file_listeners, after.file_listeners, before.listeners, after.listeners);
  std::ranges::set_symmetric_difference(before.demanded_routes, after.demanded_routes,
                                        std::inserter(names, names.end()));
  add_touched_by_scopes(before, after, names);
  return names;
}

Names touched_endpoints(const Resources& before, const Resources& after) {
  return touched(before.file_clusters, after.file_clusters, before.clusters, after.clusters);
}

}  // namespace pillion
