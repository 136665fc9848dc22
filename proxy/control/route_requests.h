#pragma once
// RouteRequests: what requests wait for, on control's side (core/route_demand.h is the workers').
//
// Owned by the ControlPlane.  Each name that workers ask for is asked of the control plane, once:
//
//   want() -> kAsk -> (on_answered | on_given_up) -> on_built, until nothing holds up what came
//          -> take_answers(), when the workers have it
//
// A name stays, so that a change reaches us, as long as it is in use, and a while longer.  As peers
// choose the names there are bounds, of a table and in all: names that led to nothing go first.  A
// call costs what it concerns: a flood of names does not look at all of them for each.

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/shared_map.h"
#include "proxy/builder/resources.h"
#include "proxy/builder/wanted.h"
#include "proxy/core/route_demand.h"

namespace pillion {

class RouteRequests {
 public:
  static constexpr size_t kMaxNames = 16'384;
  static constexpr size_t kMaxPerTable = 4096;  // of virtual hosts
  static constexpr Duration kUnusedTime = std::chrono::minutes(10);
  // A name that led to nothing goes then, if the place is needed.
  static constexpr Duration kInVainTime = std::chrono::seconds(1);

  enum class Verdict : uint8_t {
    kAnswered,  // nothing more will come of it: tell the workers
    kWaits,     // somebody has asked before
    kAsk        // ask the control plane
  };
  Verdict want(const core::RouteName& name, Instant now);

  // The control plane has said something about it, or that there is no such thing; its response is
  // being built.  `resource`: what it is called there, of which the name may be an alias.
  void on_answered(core::RouteKind kind, std::string_view name, std::string_view resource);
  // It did not answer in time.
  void on_given_up(core::RouteKind kind, std::string_view name);
  // After a build: what was answered is in force with it, or still waits for something else.
  void on_built(const Resources& resources);
  // What workers may be told, once they have the last build.
  std::vector<core::RouteName> take_answers() { return std::exchange(answers_, {}); }

  // Names to ask for.
  [[nodiscard]] const std::set<std::string>& virtual_hosts() const noexcept { return hosts_; }
  [[nodiscard]] const SharedNames& tables() const noexcept { return tables_; }
  // Virtual hosts that have come to, or gone from, these since it was asked last.
  Names take_touched() { return std::exchange(touched_, {}); }

  // Forgets virtual hosts that nobody has used for kUnusedTime, and returns the resources that
  // nobody needs any more.
  std::set<std::string> drop_unused(const Resources& resources, Instant now);
  [[nodiscard]] bool empty() const noexcept { return names_.empty(); }

 private:
  enum class State : uint8_t { kAsked, kBuilding, kAnswered };
  struct Entry {
    State state = State::kAsked;
    Instant used{};
    std::string resource;     // what it is called in responses
    bool is_in_vain = false;  // it led to nothing
    bool is_queued = false;   // in vain_
  };
  struct InVain {
    Instant used;  // then, or later
    core::RouteName name;
  };
  [[nodiscard]] bool make_room(const core::RouteName& name, Instant now);
  void forget(const core::RouteName& name);
  void note_in_vain(const core::RouteName& name, Entry& entry);
  Entry* find(core::RouteKind kind, std::string_view name);

  std::map<core::RouteName, Entry> names_;
  std::set<std::string> hosts_;
  SharedNames tables_;
  Names touched_;
  std::deque<InVain> vain_;  // each once; mostly in the order in which they were used last
  std::map<std::string, size_t, std::less<>> per_table_;  // virtual hosts
  std::set<core::RouteName> building_;
  std::vector<core::RouteName> answers_;
};

}  // namespace pillion
