#include "proxy/builder/index_resources.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "proxy/builder/warming.h"

namespace pillion {

namespace {

bool has_tls(const CompiledCluster& cluster) { return cluster.config->pool->may_use_tls(); }
bool has_tls(const CompiledListener& listener) { return pillion::has_tls(*listener.config); }
// What the others name beside themselves is none.
template <typename T>
bool has_tls(const T&) {
  return false;
}

// What a snapshot knows beside its resources.
struct Collected {
  bool slots = false;
  bool notes = false;
};

// Which of it a change of pieces may touch.
template <typename T>
void look_for_changes(const Pieces<T>& before, const Pieces<T>& now, Collected& out) {
  diff(before, now, [&out](std::string_view, const Piece<T>* a, const Piece<T>* b) {
    const auto look = [&out](const Piece<T>* piece) {
      if (piece == nullptr) return;
      out.notes |= piece->notes && !piece->notes->files.empty();
      for (const auto& end : {piece->active, piece->newest})
        out.slots |= end != nullptr && has_tls(*end);
    };
    const bool is_same_end =
        a != nullptr && b != nullptr && a->active == b->active && a->newest == b->newest;
    const bool slots = out.slots;
    look(a);
    look(b);
    if (is_same_end) out.slots = slots;
  });
}

void collect_slots(Snapshot& out) {
  std::unordered_set<const tls::ContextSlot*> seen;
  const auto add = [&](const std::shared_ptr<const tls::ContextSlot>& slot) {
    if (seen.insert(slot.get()).second) out.tls_slots.push_back(slot);
  };
  for (const auto& listener : out.listeners) for_each_tls(*listener, add);
  for (const auto& cluster : out.clusters) for_each_tls(*cluster, add);
  // What waits may wait for its secrets.
  const auto add_newest = [&add](const auto& piece) { for_each_tls(*piece.newest->config, add); };
  for_each_waiting_listener(*out.resources, add_newest);
  for_each_waiting_cluster(*out.resources, add_newest);
}

template <typename T>
void collect_notes(Snapshot& out, const Pieces<T>& pieces) {
  for (const auto& [name, piece] : pieces) {
    if (!piece.notes) continue;
    out.files.insert(piece.notes->files.begin(), piece.notes->files.end());
  }
}

template <typename T>
bool has_same_ends(const std::vector<Piece<T>>& a, const std::vector<Piece<T>>& b) {
  return std::ranges::equal(a, b, [](const Piece<T>& x, const Piece<T>& y) {
    return x.active == y.active && x.newest == y.newest;
  });
}

// Calls fn(before, now) for each kind of pieces.
template <typename Fn>
void for_each_kind(const Resources& before, const Resources& now, Fn&& fn) {
  fn(before.clusters, now.clusters);
  fn(before.routes, now.routes);
  fn(before.virtual_hosts, now.virtual_hosts);
  fn(before.scopes, now.scopes);
  fn(before.listeners, now.listeners);
  fn(before.extensions, now.extensions);
  fn(before.runtime_layers, now.runtime_layers);
}

}  // namespace

void index_resources(Snapshot& out, std::shared_ptr<const Resources> resources,
                     const Snapshot* previous) {
  out.use_resources(std::move(resources));
  const Resources& now = *out.resources;
  Collected changed{previous == nullptr, previous == nullptr};
  if (previous != nullptr) {
    const Resources& before = *previous->resources;
    // One of the file may have begun to be in force, or was compiled again (runtime).
    changed.slots = !has_same_ends(before.file_listeners, now.file_listeners) ||
                    !has_same_ends(before.file_clusters, now.file_clusters);
    for_each_kind(before, now,
                  [&changed](const auto& a, const auto& b) { look_for_changes(a, b, changed); });
  }
  if (changed.slots) {
    collect_slots(out);
  } else {
    out.tls_slots = previous->tls_slots;
  }
  if (!changed.notes) {
    out.files = previous->files;
    out.unknown_fields = previous->unknown_fields;
    return;
  }
  out.files = now.files;
  out.unknown_fields = now.unknown_fields;
  for_each_kind(now, now, [&out](const auto&, const auto& pieces) { collect_notes(out, pieces); });
}

}  // namespace pillion
