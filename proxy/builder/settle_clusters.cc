#include "proxy/builder/settle_clusters.h"

#include <algorithm>

namespace pillion {

void ClusterSettling::wake_at(Instant deadline) {
  if (resources_.next_deadline == Instant{} || deadline < resources_.next_deadline)
    resources_.next_deadline = deadline;
}

bool ClusterSettling::is_warm(const Piece<CompiledCluster>& piece, bool is_of_file) const {
  const upstream::ClusterConfig& cluster = *piece.newest->config;
  if (!has_endpoints(cluster, settled_.endpoints)) return false;
  if (is_of_file && settled_.takes_file_whole) return true;
  return (!awaits_discovery(piece) || settled_.warm.contains(&cluster)) &&
         has_secrets(cluster, settled_.secrets);
}

template <typename Edit>
void ClusterSettling::settle(const Piece<CompiledCluster>& piece, bool is_of_file, Edit&& edit) {
  if (!piece.waits()) return;
  if (is_warm(piece, is_of_file)) return edit().activate();
  if (piece.active != nullptr) {
    ++resources_.changing_clusters;
    return;
  }
  ++resources_.warming_clusters;
  const upstream::ClusterConfig& cluster = *piece.newest->config;
  const std::string name = cluster.name;
  // Its timeout ends the wait.  One that may wait for ever, as Istio's, must not hold up others
  // for as long.
  if (!has_endpoints(cluster, settled_.endpoints) && cluster.eds_timeout == Duration{}) {
    Instant holds_until = piece.holds_until;
    if (holds_until == Instant{}) edit().holds_until = holds_until = settled_.now + kHoldTime;
    if (settled_.now >= holds_until) return;
    wake_at(holds_until);
  }
  warming_.insert(name);
}

void ClusterSettling::run() {
  resources_.warming_clusters = resources_.changing_clusters = 0;
  for (auto& piece : resources_.file_clusters)
    settle(piece, true, [&piece]() -> Piece<CompiledCluster>& { return piece; });
  std::erase_if(resources_.unsettled.clusters, [this](const std::string& name) {
    const auto it = resources_.clusters.find(name);
    if (it == resources_.clusters.end()) return true;
    if (it->second.newest == nullptr) return false;  // end_lingering()
    settle(it->second, false,
           [&]() -> Piece<CompiledCluster>& { return resources_.clusters[name]; });
    return !resources_.clusters.find(name)->second.waits();
  });
}

bool ClusterSettling::names_warming(const std::set<std::string>& clusters) const {
  if (warming_.size() > clusters.size())
    return std::ranges::any_of(clusters, [this](const auto& n) { return warming_.contains(n); });
  return std::ranges::any_of(warming_, [&](const auto& n) { return clusters.contains(n); });
}

// Those of `names` that anything in force names.
std::unordered_set<std::string_view> ClusterSettling::used_of(
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

void ClusterSettling::end_lingering() {
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
    if (resources_.clusters.find(name)->second.is_gone()) resources_.clusters.erase(name);
    return true;
  });
}

}  // namespace pillion
