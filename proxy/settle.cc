#include "proxy/settle.h"

#include <algorithm>
#include <utility>

#include "proxy/core/listener_routes.h"
#include "proxy/extensions.h"
#include "proxy/scoped_routes.h"
#include "proxy/virtual_hosts.h"

namespace pillion {
namespace {

using upstream::ClusterConfig;
using upstream::DiscoveryType;

template <typename Fn>
void for_each_listener(const Resources& resources, Fn&& fn) {
  const auto visit = [&fn](const Piece<CompiledListener>& piece) {
    if (piece.newest != nullptr) fn(*piece.newest);
    if (piece.active != nullptr && piece.waits()) fn(*piece.active);
  };
  for (const auto& piece : resources.file_listeners) visit(piece);
  for (const auto& [name, piece] : resources.listeners) visit(piece);
}

template <typename Fn>
void for_each_eds_cluster(const Resources& resources, Fn&& fn) {
  const auto look = [&fn](const std::shared_ptr<const CompiledCluster>& cluster) {
    if (cluster != nullptr && cluster->config->type == DiscoveryType::kEds) fn(*cluster->config);
  };
  const auto visit = [&look](const Piece<CompiledCluster>& piece) {
    look(piece.newest);
    if (piece.active != piece.newest) look(piece.active);
  };
  for (const auto& piece : resources.file_clusters) visit(piece);
  for (const auto& [name, piece] : resources.clusters) visit(piece);
}

void add_once(std::vector<std::string_view>& list, std::string_view text) {
  if (std::ranges::find(list, text) == list.end()) list.push_back(text);
}

class Settling {
 public:
  Settling(Resources& resources, Compiler& compiler, const Settled& settled)
      : resources_(resources), compiler_(compiler), settled_(settled) {}

  void run() {
    resources_.next_deadline = {};
    settle_clusters();
    settle_routes();
    settle_extensions();
    settle_all_scopes();
    resources_.warming_listeners = 0;
    for (auto& piece : resources_.file_listeners) settle_listener(piece);
    for (auto& [name, piece] : resources_.listeners) settle_listener(piece);
    std::erase_if(resources_.listeners, [](const auto& item) { return is_gone(item.second); });
    end_lingering();
  }

 private:
  template <typename T>
  static bool is_gone(const Piece<T>& piece) {
    return piece.newest == nullptr && piece.active == nullptr && !piece.error;
  }

  [[nodiscard]] bool has_endpoints(const ClusterConfig& cluster) const {
    return cluster.type != DiscoveryType::kEds || settled_.endpoints.contains(cluster.eds_name);
  }

  void settle_cluster(Piece<CompiledCluster>& piece) {
    if (piece.newest == nullptr) return;
    if (has_endpoints(*piece.newest->config)) piece.activate();
    if (piece.active != nullptr) return;
    ++resources_.warming_clusters;
    const ClusterConfig& cluster = *piece.newest->config;
    // Its timeout ends the wait.  One that may wait for ever, as Istio's, must not hold up others
    // for as long.
    if (cluster.eds_timeout == Duration{}) {
      if (piece.holds_until == Instant{}) piece.holds_until = settled_.now + kHoldTime;
      if (settled_.now >= piece.holds_until) return;
      wake_at(piece.holds_until);
    }
    warming_.insert(cluster.name);
  }

  void wake_at(Instant deadline) {
    if (resources_.next_deadline == Instant{} || deadline < resources_.next_deadline)
      resources_.next_deadline = deadline;
  }

  void settle_clusters() {
    resources_.warming_clusters = 0;
    for (auto& piece : resources_.file_clusters) settle_cluster(piece);
    for (auto& [name, piece] : resources_.clusters) settle_cluster(piece);
  }

  [[nodiscard]] bool names_warming(const std::set<std::string>& clusters) const {
    return std::ranges::any_of(warming_,
                               [&](const std::string& name) { return clusters.contains(name); });
  }

  void settle_routes() {
    const WantedNames wanted = wanted_routes(resources_);
    std::erase_if(resources_.routes,
                  [&](const auto& item) { return !wanted.contains(item.first); });
    for (auto& [name, piece] : resources_.routes) {
      if (piece.newest == nullptr || names_warming(piece.newest->clusters)) continue;
      // The first requests shall find the hosts that the server thinks we need.
      const bool lacks_hosts = piece.newest->table->has_vhds() && piece.active == nullptr &&
                               !resources_.has_virtual_hosts && !settled_.given_up_virtual_hosts;
      if (!lacks_hosts) piece.activate();
    }
    settle_virtual_hosts();
    join_virtual_hosts(resources_);
  }

  void settle_virtual_hosts() {
    // Hosts may come before their table; without any table nobody asks for hosts.
    if (!has_vhds(resources_)) {
      resources_.virtual_hosts.clear();
      resources_.has_virtual_hosts = false;
    }
    std::erase_if(resources_.virtual_hosts, [](const auto& item) { return is_gone(item.second); });
    for (auto& [name, piece] : resources_.virtual_hosts) {
      if (piece.newest == nullptr) {
        piece.active = nullptr;
      } else if (!names_warming(piece.newest->clusters)) {
        piece.activate();
      }
    }
  }

  void settle_extensions() {
    const WantedNames wanted = wanted_extensions(resources_);
    std::erase_if(resources_.extensions,
                  [&](const auto& item) { return !wanted.contains(item.first); });
    for (auto& [name, piece] : resources_.extensions) {
      if (piece.newest == nullptr) {
        piece.active = nullptr;  // a delta has removed it
      } else if (!names_warming(piece.newest->clusters)) {
        piece.activate();
      }
    }
  }

  [[nodiscard]] bool has_table(const std::string& name) const {
    return compiler_.table(name) != nullptr || settled_.given_up_routes.contains(name);
  }

  void settle_all_scopes() {
    settle_scopes(
        resources_, [this](const std::string& name) { return has_table(name); },
        [this](const std::set<std::string>& clusters) { return names_warming(clusters); });
    index_scopes(resources_, [this](const std::string& name) { return compiler_.table(name); });
  }

  // SRDS has answered, and there are the tables that scopes name.
  [[nodiscard]] bool has_all_scopes() const {
    if (!resources_.has_scopes) return settled_.given_up_scopes;
    return std::ranges::all_of(resources_.scopes, [this](const auto& item) {
      const Piece<CompiledScope>& piece = item.second;
      const std::string* name =
          piece.newest == nullptr ? nullptr : rds_name_of(*piece.newest, resources_);
      return name == nullptr || has_table(*name);
    });
  }

  // Has it all it needs?
  [[nodiscard]] bool may_start(const CompiledListener& listener, bool is_first) const {
    if (listener.srds && is_first && !has_all_scopes()) return false;
    return !names_warming(listener.clusters) &&
           std::ranges::all_of(listener.extensions,
                               [this](const auto& item) {
                                 return !item.second.must_wait ||
                                        compiler_.extension(item.first) != nullptr ||
                                        settled_.given_up_extensions.contains(item.first);
                               }) &&
           std::ranges::all_of(listener.tables, [this](const auto& item) {
             return item.second.on_demand || has_table(item.first);
           });
  }

  [[nodiscard]] bool has_scopes_in_force(const CompiledListener& listener) const {
    return !listener.srds || resources_.scope_table == nullptr ||
           listener.srds->scopes == resources_.scope_table;
  }

  // With the tables that are in force now; itself if it has them already.
  std::shared_ptr<const CompiledListener> with_tables(
      const std::shared_ptr<const CompiledListener>& listener) {
    const bool is_up_to_date = std::ranges::all_of(listener->tables, [this](const auto& item) {
      return compiler_.table(item.first) == item.second.table;
    });
    if (is_up_to_date && has_scopes_in_force(*listener)) return listener;
    auto again = std::make_shared<CompiledListener>(*listener);
    core::RouteTables tables;
    for (auto& [name, entry] : again->tables) tables[name] = entry.table = compiler_.table(name);
    if (again->srds && resources_.scope_table != nullptr)
      again->srds->scopes = resources_.scope_table;
    again->config = core::with_route_tables(*listener->config, tables, resources_.scope_table);
    return again;
  }

  void settle_listener(Piece<CompiledListener>& piece) {
    if (piece.newest == nullptr) {
      piece.active = nullptr;
    } else if (may_start(*piece.newest, piece.active == nullptr)) {
      piece.newest = compiler_.with_extensions(with_tables(piece.newest));
      piece.activate();
    } else if (piece.active != nullptr) {
      piece.active = compiler_.with_extensions(with_tables(piece.active));
    } else {
      ++resources_.warming_listeners;
    }
  }

  // Clusters that were removed go when nobody names them any more, or when their time is over.
  void end_lingering() {
    std::set<std::string> used;
    const auto add = [&used](const std::set<std::string>& names) {
      used.insert(names.begin(), names.end());
    };
    const auto add_listener = [&](const Piece<CompiledListener>& piece) {
      if (piece.active != nullptr) add(piece.active->clusters);
    };
    for (const auto& piece : resources_.file_listeners) add_listener(piece);
    for (const auto& [name, piece] : resources_.listeners) add_listener(piece);
    for (const auto& [name, piece] : resources_.routes)
      if (piece.active != nullptr) add(piece.active->clusters);
    for (const auto& [name, piece] : resources_.scopes)
      if (piece.active != nullptr) add(piece.active->clusters);
    for (const auto& [name, piece] : resources_.virtual_hosts)
      if (piece.active != nullptr) add(piece.active->clusters);
    for (const auto& [name, piece] : resources_.extensions)
      if (piece.active != nullptr) add(piece.active->clusters);
    for (auto& [name, piece] : resources_.clusters) {
      if (piece.newest != nullptr || piece.active == nullptr) continue;
      if (piece.lingers_until == Instant{}) piece.lingers_until = settled_.now + kLingerTime;
      if (!used.contains(name) || settled_.now >= piece.lingers_until) {
        piece.active = nullptr;
      } else {
        wake_at(piece.lingers_until);
      }
    }
    std::erase_if(resources_.clusters, [](const auto& item) { return is_gone(item.second); });
  }

  Resources& resources_;
  Compiler& compiler_;
  const Settled& settled_;
  std::set<std::string> warming_;  // clusters that others wait for
};

}  // namespace

WantedNames wanted_routes(const Resources& resources) {
  WantedNames names;
  for_each_listener(resources, [&](const CompiledListener& listener) {
    for (const auto& [name, table] : listener.tables)
      if (!table.on_demand || resources.demanded_routes.contains(name))
        names.emplace(name, Wanted{table.timeout, table.source});
  });
  add_routes_of_scopes(resources, names);
  return names;
}

WantedNames wanted_endpoints(const Resources& resources) {
  WantedNames names;
  for_each_eds_cluster(resources, [&names](const ClusterConfig& cluster) {
    names.emplace(cluster.eds_name, Wanted{cluster.eds_timeout, cluster.eds_source});
  });
  return names;
}

ResourceUsers route_users(const Resources& resources) {
  ResourceUsers users;
  for_each_listener(resources, [&users](const CompiledListener& listener) {
    for (const auto& [name, table] : listener.tables) {
      std::vector<std::string_view>& list = users[name];
      for (const std::string& prefix : table.stat_prefixes) add_once(list, prefix);
    }
  });
  add_users_of_scopes(resources, users);
  return users;
}

ResourceUsers endpoint_users(const Resources& resources) {
  ResourceUsers users;
  for_each_eds_cluster(resources, [&users](const ClusterConfig& cluster) {
    add_once(users[cluster.eds_name], cluster.stat_name);
  });
  return users;
}

void settle(Resources& resources, Compiler& compiler, const Settled& settled) {
  Settling(resources, compiler, settled).run();
}

}  // namespace pillion
