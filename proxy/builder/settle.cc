#include "proxy/builder/settle.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "proxy/builder/extensions.h"
#include "proxy/builder/listener_moves.h"
#include "proxy/builder/scoped_routes.h"
#include "proxy/builder/virtual_hosts.h"
#include "proxy/core/listener_routes.h"

namespace pillion {
namespace {

template <typename T>
bool is_gone(const Piece<T>& piece) {
  return piece.newest == nullptr && piece.active == nullptr && !piece.error;
}

class Settling {
 public:
  Settling(Resources& resources, Compiler& compiler, const Settled& settled)
      : resources_(resources), compiler_(compiler), settled_(settled) {}

  void run() {
    resources_.next_deadline = {};
    settle_clusters();
    const bool have_names_changed = resources_.wanted_routes == nullptr;
    if (have_names_changed) drop_unwanted_routes();
    settle_routes();
    settle_virtual_hosts();
    settle_extensions();
    settle_all_scopes();
    settle_listeners();
    if (have_names_changed || resources_.wanted_routes == nullptr) drop_unwanted_extensions();
    end_lingering();
  }

 private:
  [[nodiscard]] bool has_endpoints(const upstream::ClusterConfig& cluster) const {
    return cluster.type != upstream::DiscoveryType::kEds ||
           settled_.endpoints.contains(cluster.eds_name);
  }

  // edit(): the piece, to be changed; it is a copy of what others have, so only where it must be.
  template <typename Edit>
  void settle_cluster(const Piece<CompiledCluster>& piece, Edit&& edit) {
    if (piece.newest == nullptr) return;
    const std::shared_ptr<const upstream::ClusterConfig> cluster = piece.newest->config;
    if (has_endpoints(*cluster)) {
      if (piece.waits()) edit().activate();
      return;
    }
    if (piece.active != nullptr) return;
    ++resources_.warming_clusters;
    // Its timeout ends the wait.  One that may wait for ever, as Istio's, must not hold up others
    // for as long.
    if (cluster->eds_timeout == Duration{}) {
      Instant holds_until = piece.holds_until;
      if (holds_until == Instant{}) edit().holds_until = holds_until = settled_.now + kHoldTime;
      if (settled_.now >= holds_until) return;
      wake_at(holds_until);
    }
    warming_.insert(cluster->name);
  }

  void wake_at(Instant deadline) {
    if (resources_.next_deadline == Instant{} || deadline < resources_.next_deadline)
      resources_.next_deadline = deadline;
  }

  void settle_clusters() {
    resources_.warming_clusters = 0;
    for (auto& piece : resources_.file_clusters)
      settle_cluster(piece, [&piece]() -> Piece<CompiledCluster>& { return piece; });
    std::erase_if(resources_.unsettled.clusters, [this](const std::string& name) {
      const auto it = resources_.clusters.find(name);
      if (it == resources_.clusters.end()) return true;
      if (it->second.newest == nullptr) return false;  // end_lingering()
      settle_cluster(it->second,
                     [&]() -> Piece<CompiledCluster>& { return resources_.clusters[name]; });
      return !resources_.clusters.find(name)->second.waits();
    });
  }

  [[nodiscard]] bool names_warming(const std::set<std::string>& clusters) const {
    if (warming_.size() > clusters.size())
      return std::ranges::any_of(clusters, [this](const auto& n) { return warming_.contains(n); });
    return std::ranges::any_of(warming_, [&](const auto& n) { return clusters.contains(n); });
  }

  // What nobody asks for any more goes.
  void drop_unwanted_routes() {
    resources_.wanted_routes = std::make_shared<const WantedNames>(wanted_routes(resources_));
    erase_if(resources_.routes, [this](const auto& item) {
      const bool is_out = !resources_.wanted_routes->contains(item.first);
      if (is_out) changed_tables_.insert(item.first);
      return is_out;
    });
  }
  void drop_unwanted_extensions() {
    if (resources_.extensions.empty()) return;
    const WantedNames wanted = wanted_extensions(resources_);
    erase_if(resources_.extensions,
             [&wanted](const auto& item) { return !wanted.contains(item.first); });
  }

  // They take effect when they can.
  void settle_routes() {
    std::erase_if(resources_.unsettled.routes, [this](const std::string& name) {
      const auto it = resources_.routes.find(name);
      if (it == resources_.routes.end() || it->second.newest == nullptr) return true;
      if (!it->second.waits()) return true;
      const CompiledRoutes& newest = *it->second.newest;
      if (names_warming(newest.clusters)) return false;
      // The first requests shall find the hosts that the server thinks we need.
      const bool lacks_hosts = newest.table->has_vhds() && it->second.active == nullptr &&
                               !resources_.has_virtual_hosts && !settled_.given_up_virtual_hosts;
      if (lacks_hosts) return false;
      resources_.routes[name].activate();
      changed_tables_.insert(name);
      return true;
    });
  }

  void settle_virtual_hosts() {
    if (!resources_.unsettled.virtual_hosts && changed_tables_.empty()) return;
    Pieces<CompiledVirtualHost>& hosts = resources_.virtual_hosts;
    // Hosts may come before their table; without any table nobody asks for hosts.
    const bool has_any = !hosts.empty() || resources_.has_virtual_hosts;
    if (has_any && !has_vhds(resources_)) {
      hosts.clear();
      resources_.has_virtual_hosts = false;
    }
    erase_if(hosts, [](const auto& item) { return is_gone(item.second); });
    std::vector<std::string> ready;
    bool waits = false;
    for (const auto& [name, piece] : hosts) {
      if (!piece.waits()) continue;
      if (names_warming(piece.newest->clusters)) {
        waits = true;
      } else {
        ready.push_back(name);
      }
    }
    for (const std::string& name : ready) hosts[name].activate();
    resources_.unsettled.virtual_hosts = waits;
    join_virtual_hosts(resources_, changed_tables_);
  }

  void settle_extensions() {
    std::erase_if(resources_.unsettled.extensions, [this](const std::string& name) {
      const auto it = resources_.extensions.find(name);
      if (it == resources_.extensions.end()) return true;
      if (it->second.newest == nullptr) {
        resources_.extensions[name].active = nullptr;  // a delta has removed it
      } else if (it->second.waits()) {
        if (names_warming(it->second.newest->clusters)) return false;
        resources_.extensions[name].activate();
      }
      changed_extensions_.insert(name);
      return true;
    });
  }

  [[nodiscard]] bool has_table(const std::string& name) const {
    return compiler_.table(name) != nullptr || settled_.given_up_routes.contains(name);
  }

  void settle_all_scopes() {
    if (!resources_.unsettled.scopes && changed_tables_.empty()) return;
    settle_scopes(
        resources_, [this](const std::string& name) { return has_table(name); },
        [this](const std::set<std::string>& clusters) { return names_warming(clusters); });
    const auto before = resources_.scope_table;
    index_scopes(resources_, [this](const std::string& name) { return compiler_.table(name); });
    have_scopes_changed_ = resources_.scope_table != before;
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
    if (without_addresses_.contains(listener.config->name)) return false;
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
    const auto newest = piece.newest;
    const auto active = piece.active;
    if (piece.newest == nullptr) {
      piece.active = nullptr;
    } else if (may_start(*piece.newest, piece.active == nullptr)) {
      piece.newest = compiler_.with_extensions(with_tables(piece.newest));
      piece.activate();
    } else if (piece.active != nullptr) {
      piece.active = compiler_.with_extensions(with_tables(piece.active));
    } else if (!without_addresses_.contains(piece.newest->config->name)) {
      ++resources_.warming_listeners;  // an address may never come, and the start not wait for it
    }
    if (piece.newest != newest || piece.active != active) resources_.wanted_routes = nullptr;
  }

  [[nodiscard]] bool uses_changed(const Piece<CompiledListener>& piece) const {
    const auto is_any_in = [](const auto& changed, const auto& used) {
      return std::ranges::any_of(changed, [&](const auto& name) { return used.contains(name); });
    };
    const auto uses_it = [&](const std::shared_ptr<const CompiledListener>& end) {
      return end != nullptr && (is_any_in(changed_tables_, end->tables) ||
                                is_any_in(changed_extensions_, end->extensions) ||
                                (have_scopes_changed_ && end->srds));
    };
    return uses_it(piece.newest) || (piece.active != piece.newest && uses_it(piece.active));
  }

  void settle_listeners() {
    static const HeldListeners kNone;
    resources_.warming_listeners = 0;
    without_addresses_ = without_addresses(
        resources_, settled_.held_listeners == nullptr ? kNone : *settled_.held_listeners,
        [this](const Piece<CompiledListener>& piece) {
          return may_start(*piece.newest, piece.active == nullptr);
        });
    for (auto& piece : resources_.file_listeners) settle_listener(piece);
    std::set<std::string>& unsettled = resources_.unsettled.listeners;
    if (!changed_tables_.empty() || !changed_extensions_.empty() || have_scopes_changed_) {
      for (const auto& [name, piece] : resources_.listeners)
        if (uses_changed(piece)) unsettled.insert(name);
    }
    std::erase_if(unsettled, [this](const std::string& name) {
      if (!resources_.listeners.contains(name)) return true;
      Piece<CompiledListener>& piece = resources_.listeners[name];
      settle_listener(piece);
      const bool waits = piece.waits();
      if (is_gone(piece)) resources_.listeners.erase(name);
      return !waits;
    });
  }

  // Those of `names` that anything in force names.
  [[nodiscard]] std::unordered_set<std::string_view> used_of(
      const std::unordered_set<std::string_view>& names) const {
    std::unordered_set<std::string_view> used;
    const auto look = [&](const auto& piece) {
      if (piece.active == nullptr) return;
      for (const std::string& cluster : piece.active->clusters) {
        if (names.contains(cluster)) used.insert(cluster);
      }
    };
    const auto look_at_all = [&look](const auto& pieces) {
      for (const auto& item : pieces) look(item.second);
    };
    if (names.empty()) return used;
    for (const auto& piece : resources_.file_listeners) look(piece);
    look_at_all(resources_.listeners);
    look_at_all(resources_.routes);
    look_at_all(resources_.virtual_hosts);
    look_at_all(resources_.scopes);
    look_at_all(resources_.extensions);
    return used;
  }

  // Clusters that were removed go when nobody names them any more, or when their time is over.
  void end_lingering() {
    std::unordered_set<std::string_view> lingering;
    for (const std::string& name : resources_.unsettled.clusters) {
      const Piece<CompiledCluster>& piece = resources_.clusters.find(name)->second;
      if (piece.newest == nullptr && piece.active != nullptr) lingering.insert(name);
    }
    const std::unordered_set<std::string_view> used = used_of(lingering);
    std::erase_if(resources_.unsettled.clusters, [&](const std::string& name) {
      const Piece<CompiledCluster>& found = resources_.clusters.find(name)->second;
      if (found.newest != nullptr) return false;
      if (found.active != nullptr) {
        Piece<CompiledCluster>& piece = resources_.clusters[name];
        if (piece.lingers_until == Instant{}) piece.lingers_until = settled_.now + kLingerTime;
        if (used.contains(name) && settled_.now < piece.lingers_until) {
          wake_at(piece.lingers_until);
          return false;
        }
        piece.active = nullptr;
      }
      if (is_gone(resources_.clusters.find(name)->second)) resources_.clusters.erase(name);
      return true;
    });
  }

  Resources& resources_;
  Compiler& compiler_;
  const Settled& settled_;
  std::unordered_set<std::string> warming_;  // clusters that others wait for
  // Of which another one is in force now:
  Names changed_tables_;
  Names changed_extensions_;
  Names without_addresses_;  // listeners
  bool have_scopes_changed_ = false;
};

}  // namespace

void settle(Resources& resources, Compiler& compiler, const Settled& settled) {
  Settling(resources, compiler, settled).run();
}

}  // namespace pillion
