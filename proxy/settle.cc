#include "proxy/settle.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "proxy/core/listener_routes.h"

namespace pillion {
namespace {

template <typename T>
bool is_gone(const Piece<T>& piece) {
  return piece.newest == nullptr && piece.active == nullptr && !piece.error;
}

class Settling {
 public:
  Settling(Resources& resources, const Compiler& compiler, const Settled& settled)
      : resources_(resources), compiler_(compiler), settled_(settled) {}

  void run() {
    resources_.next_deadline = {};
    settle_clusters();
    settle_routes();
    settle_listeners();
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

  // What no listener asks for goes; the others take effect when they can.
  void settle_routes() {
    if (resources_.wanted_routes == nullptr) {
      resources_.wanted_routes =
          std::make_shared<const std::map<std::string, Duration>>(wanted_routes(resources_));
      erase_if(resources_.routes, [this](const auto& item) {
        return !resources_.wanted_routes->contains(item.first);
      });
    }
    std::erase_if(resources_.unsettled.routes, [this](const std::string& name) {
      const auto it = resources_.routes.find(name);
      if (it == resources_.routes.end() || it->second.newest == nullptr) return true;
      if (!it->second.waits()) return true;
      if (names_warming(it->second.newest->clusters)) return false;
      resources_.routes[name].activate();
      changed_tables_.insert(name);
      return true;
    });
  }

  // Has it all it needs?
  [[nodiscard]] bool may_start(const CompiledListener& listener) const {
    return !names_warming(listener.clusters) &&
           std::ranges::all_of(listener.tables, [this](const auto& item) {
             return compiler_.table(item.first) != nullptr ||
                    settled_.given_up_routes.contains(item.first);
           });
  }

  // With the tables that are in force now; itself if it has them already.
  std::shared_ptr<const CompiledListener> with_tables(
      const std::shared_ptr<const CompiledListener>& listener) {
    const bool is_up_to_date = std::ranges::all_of(listener->tables, [this](const auto& item) {
      return compiler_.table(item.first) == item.second.table;
    });
    if (is_up_to_date) return listener;
    auto again = std::make_shared<CompiledListener>(*listener);
    core::RouteTables tables;
    for (auto& [name, entry] : again->tables) tables[name] = entry.table = compiler_.table(name);
    again->config = core::with_route_tables(*listener->config, tables);
    return again;
  }

  void settle_listener(Piece<CompiledListener>& piece) {
    const auto newest = piece.newest;
    const auto active = piece.active;
    if (piece.newest == nullptr) {
      piece.active = nullptr;
    } else if (may_start(*piece.newest)) {
      piece.newest = with_tables(piece.newest);
      piece.activate();
    } else if (piece.active != nullptr) {
      piece.active = with_tables(piece.active);
    } else {
      ++resources_.warming_listeners;
    }
    if (piece.newest != newest || piece.active != active) resources_.wanted_routes = nullptr;
  }

  [[nodiscard]] bool uses_changed_table(const Piece<CompiledListener>& piece) const {
    const auto uses_it = [this](const std::shared_ptr<const CompiledListener>& end) {
      return end != nullptr && std::ranges::any_of(changed_tables_, [&](const std::string& name) {
               return end->tables.contains(name);
             });
    };
    return uses_it(piece.newest) || (piece.active != piece.newest && uses_it(piece.active));
  }

  void settle_listeners() {
    resources_.warming_listeners = 0;
    for (auto& piece : resources_.file_listeners) settle_listener(piece);
    std::set<std::string>& unsettled = resources_.unsettled.listeners;
    if (!changed_tables_.empty()) {
      for (const auto& [name, piece] : resources_.listeners)
        if (uses_changed_table(piece)) unsettled.insert(name);
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

  // Those of `names` that routes and listeners in force name.
  [[nodiscard]] std::unordered_set<std::string_view> used_of(
      const std::unordered_set<std::string_view>& names) const {
    std::unordered_set<std::string_view> used;
    const auto look = [&](const auto& piece) {
      if (piece.active == nullptr) return;
      for (const std::string& cluster : piece.active->clusters) {
        if (names.contains(cluster)) used.insert(cluster);
      }
    };
    if (names.empty()) return used;
    for (const auto& piece : resources_.file_listeners) look(piece);
    for (const auto& [name, piece] : resources_.listeners) look(piece);
    for (const auto& [name, piece] : resources_.routes) look(piece);
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
  const Compiler& compiler_;
  const Settled& settled_;
  std::unordered_set<std::string> warming_;  // clusters that others wait for
  std::set<std::string> changed_tables_;     // of which another one is in force now
};

}  // namespace

void settle(Resources& resources, const Compiler& compiler, const Settled& settled) {
  Settling(resources, compiler, settled).run();
}

}  // namespace pillion
