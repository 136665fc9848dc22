#pragma once
// SnapshotChanges: what is in force of one Snapshot and not, or otherwise, of another, found in
// time that grows with the changes (base/shared_map.h).  Both snapshots outlive it.

#include <memory>
#include <string_view>
#include <vector>

#include "proxy/builder/snapshot.h"

namespace pillion {

template <typename Config>
struct Change {
  std::string_view name;
  std::shared_ptr<const Config> before;  // null: new
  std::shared_ptr<const Config> after;   // null: removed
};

struct SnapshotChanges {
  // Those of the file in its order, then by name.
  std::vector<Change<upstream::ClusterConfig>> clusters;
  std::vector<Change<core::ListenerConfig>> listeners;
};

// `before` may be null.
SnapshotChanges changes_between(const Snapshot* before, const Snapshot& after);

}  // namespace pillion
