#pragma once
// ClusterSettling: the part of settle() that is about clusters: which of them take effect, which
// wait and hold up what names them, and how those that were removed end.  Internal to the builder;
// lives for one settle().
//
//   run()  ->  names_warming()*, for what names clusters  ->  end_lingering()

#include <set>
#include <string>
#include <string_view>
#include <unordered_set>

#include "proxy/builder/resources.h"
#include "proxy/builder/settle.h"

namespace pillion {

class ClusterSettling {
 public:
  // Both outlive the object.
  ClusterSettling(Resources& resources, const Settled& settled)
      : resources_(resources), settled_(settled) {}

  void run();
  // Is one of these to be in force for the first time, and still waits?
  [[nodiscard]] bool names_warming(const std::set<std::string>& clusters) const;
  // Clusters that were removed go when nobody names them any more, or when their time is over.
  void end_lingering();
  // A moment at which to look again.
  void wake_at(Instant deadline);

 private:
  // edit(): the piece, to be changed; it is a copy of what others have, so only where it must be.
  template <typename Edit>
  void settle(const Piece<CompiledCluster>& piece, bool is_of_file, Edit&& edit);
  [[nodiscard]] bool is_warm(const Piece<CompiledCluster>& piece, bool is_of_file) const;
  [[nodiscard]] std::unordered_set<std::string_view> used_of(
      const std::unordered_set<std::string_view>& names) const;

  Resources& resources_;
  const Settled& settled_;
  std::unordered_set<std::string> warming_;  // clusters that others wait for
};

}  // namespace pillion
