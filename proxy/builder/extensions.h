#pragma once
// ECDS on the control thread and in the builder: which names are wanted, what they may be, and what
// became of them.  How a resource becomes a filter is in compile_extension.cc, where filters get
// into listeners in core/extension.h.

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/builder/resources.h"
#include "proxy/builder/update_stats.h"
#include "proxy/builder/wanted.h"
#include "proxy/stats/registry.h"

namespace pillion {

class Compiler;

// Names that listeners need, the newest and those in force, and how long they are waited for.
WantedNames wanted_extensions(const Resources& resources);
// The types that all who name it take; none if nobody does.
std::set<std::string> extension_types(const Resources& resources, std::string_view name);
// May ExtensionUpdates::use() find something else in `after` than in `before`?
bool touches_extensions(const Resources& before, const Resources& after);
// Which points name it ("http_filter"), for counters.
ResourceUsers extension_users(const Resources& resources);

// Fills `extensions` of a listener that was compiled.
void note_extensions(CompiledListener& out, const Compiler& compiler);

// What the control plane keeps for the names that are wanted; owned by ControlPlane.
class ExtensionUpdates {
 public:
  explicit ExtensionUpdates(stats::Registry& registry) : registry_(registry) {}

  [[nodiscard]] const WantedNames& wanted() const noexcept { return wanted_; }
  // Names that need not be waited for.
  [[nodiscard]] const std::set<std::string>& given_up() const noexcept { return given_up_; }

  // Looks at all listeners: to be called when touches_extensions().
  void use(const Resources& resources);
  // A response is being built ...
  void on_response(const xds::Response& response);
  // ... and was, which took so long.  Calls answered(name) for each name that it settled.
  // `may_go_without`: what was refused and has no predecessor is given up.  True if one was.
  template <typename Fn>
  bool on_built(const Resources& resources, bool may_go_without, Duration took, Fn&& answered) {
    bool gave_up = false;
    for (const std::string& name : std::exchange(building_, {})) {
      const auto it = resources.extensions.find(name);
      if (it == resources.extensions.end()) continue;
      const Piece<CompiledExtension>& piece = it->second;
      count(name, piece, took);
      const bool goes_without = piece.newest == nullptr && may_go_without;
      if (goes_without) gave_up |= given_up_.insert(name).second;
      if (!piece.error || goes_without) answered(name);
    }
    return gave_up;
  }
  // All of a response to who asked for `names` was refused; likewise.
  template <typename Names, typename Fn>
  void on_all_refused(const Names& names, bool may_go_without, Fn&& answered) {
    for (const auto& [name, timeout] : names) {
      stats_.on_rejected(name);
      if (!may_go_without) continue;
      given_up_.insert(name);
      answered(name);
    }
  }
  void on_fetch_timeout(const std::set<std::string>& names);
  void on_failures(std::string_view name, uint64_t times) { stats_.on_failures(name, times); }

 private:
  void count(const std::string& name, const Piece<CompiledExtension>& piece, Duration took);
  void count_conflicts(const Resources& resources);

  stats::Registry& registry_;
  WantedNames wanted_;
  std::set<std::string> given_up_;
  std::vector<std::string> building_;  // names of the response that is being built
  std::string version_;
  std::set<std::string> conflicts_;  // names that are in force and of no use to some who name them
  UpdateStats<stats::ExtensionStats> stats_;
};

}  // namespace pillion
