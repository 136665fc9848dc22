#pragma once
// RouteRequests: what requests wait for, on control's side (core/route_demand.h is the workers').
//
// Owned by the ControlPlane.  Each name that workers ask for is asked of the control plane, once:
//
//   want() -> kAsk -> (on_heard -> on_answered | on_given_up) -> on_built, until nothing holds up
//          what came -> take_answers(), when the workers have it
//
// A name stays, so that a change reaches us, as long as it is in use, and a while longer; a table,
// as long as a scope names it, too.  One without an answer stays while a request may wait for it.
//
// As peers choose the names there are bounds, of a table and in all.  Where one is reached, a name
// goes that was answered in vain, else the one without an answer that was wanted the longest ago:
// names that clients invent never keep out one that there is, however often they are wanted.  What
// they can do is to use up how much is asked in a second (kAsksPerSecond).  A call costs what it
// concerns.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/base/shared_map.h"
#include "proxy/base/token_bucket.h"
#include "proxy/builder/resources.h"
#include "proxy/builder/wanted.h"
#include "proxy/core/route_demand.h"

namespace pillion {

class RouteRequests {
 public:
  static constexpr size_t kMaxNames = 16'384;
  static constexpr size_t kMaxPerTable = 4096;  // of virtual hosts
  static constexpr Duration kUnusedTime = std::chrono::minutes(10);
  // What has no answer yet keeps its place for so long, whoever needs it.
  static constexpr Duration kStay = std::chrono::seconds(1);
  // After kMaxNames at once.
  static constexpr uint32_t kAsksPerSecond = 4096;
  // Longer than a request waits (filters/http/on_demand.cc).  Who came to wait for a name that
  // others had asked for is told when it goes, and asks again.
  static constexpr Duration kForsakenTime = std::chrono::seconds(7);

  RouteRequests() = default;
  RouteRequests(const RouteRequests&) = delete;
  RouteRequests& operator=(const RouteRequests&) = delete;

  enum class Verdict : uint8_t {
    kAnswered,  // nothing more will come of it: tell the workers
    kWaits,     // somebody has asked before
    kAsk        // ask the control plane
  };
  Verdict want(const core::RouteName& name, Instant now);

  // The control plane has said something about it, or that there is no such thing.
  void on_heard(core::RouteKind kind, std::string_view name);
  // And that response is being built.  `resource`: what it is called there, of which the name may
  // be an alias.
  void on_answered(core::RouteKind kind, std::string_view name, std::string_view resource);
  // It did not answer in time.
  void on_given_up(core::RouteKind kind, std::string_view name);
  // After a build: what was answered is in force with it, or still waits for something else.
  void on_built(const Resources& resources);
  // What workers may be told, once they have the last build.
  std::vector<core::RouteName> take_answers() { return std::exchange(answers_, {}); }
  // Was this virtual host asked for, and forgotten before this answer?  Told once; nobody shall
  // keep it.
  [[nodiscard]] bool take_late(std::string_view name) { return late_.erase(name); }
  // What they are to be told at once: names that were forgotten before an answer came.
  std::vector<core::RouteName> take_forsaken() { return std::exchange(forsaken_, {}); }

  // Names to ask for.
  [[nodiscard]] const std::set<std::string>& virtual_hosts() const noexcept { return hosts_; }
  [[nodiscard]] const SharedNames& tables() const noexcept { return tables_; }
  // Virtual hosts that have come to, or gone from, these since it was asked last.
  Names take_touched() { return std::exchange(touched_, {}); }

  // ---- what is forgotten; tables() and virtual_hosts() have it no more ----

  // Names without an answer that nobody waits for any more.
  void drop_forsaken(Instant now);
  // When to call it; the epoch: not before somebody wants something.
  [[nodiscard]] Instant forsaken_at() const;
  // What nobody has used for kUnusedTime; returns the virtual hosts (resources) that nobody needs
  // any more.
  std::set<std::string> drop_unused(const Resources& resources, Instant now);
  // Tables that no scope names any more.
  void drop_tables(const Names& names);
  // The virtual hosts of a table that is gone; returns these (resources).
  std::set<std::string> drop_hosts_of(std::string_view table);
  [[nodiscard]] bool empty() const noexcept { return names_.empty(); }

 private:
  enum class State : uint8_t { kAsked, kHeard, kAnswered };
  struct InTable {};
  struct InAll {};
  struct Unanswered {};
  struct Table;
  struct Entry : ListNode<InTable>, ListNode<InAll>, ListNode<Unanswered> {
    const core::RouteName* name = nullptr;  // under which it is in names_
    Table* table = nullptr;                 // of a virtual host
    State state = State::kAsked;
    Instant used{};
    std::string resource;  // what it is called in responses
  };
  // Of names that have led to nothing so far: in front those answered in vain, the last one first;
  // behind them the others, of which the first was wanted the longest ago.
  template <typename Tag>
  using Line = IntrusiveList<Entry, Tag>;
  struct Table {
    size_t names = 0;
    Line<InTable> fruitless;
  };

  [[nodiscard]] bool make_room(const core::RouteName& name, Instant now);
  [[nodiscard]] bool drop_oldest(Entry* oldest, Instant now);
  void add(const core::RouteName& name, Instant now);
  void leave_lines(Entry& entry);
  void await_answer(Entry& entry);
  void note_in_vain(Entry& entry);
  void forget(Entry& entry);
  // The same, and who waits is told by `told`.
  void forsake(Entry& entry, std::vector<core::RouteName>& told);
  Entry* find(core::RouteKind kind, std::string_view name);

  // Names of virtual hosts, at most kMaxNames: the oldest go.
  class Late {
   public:
    void insert(const std::string& name);
    bool erase(std::string_view name);

   private:
    std::set<std::string, std::less<>> names_;
    std::deque<std::string> order_;  // some were erased meanwhile
  };

  std::map<std::string, Table, std::less<>> per_table_;  // that have virtual hosts
  TokenBucket asks_{kMaxNames, kAsksPerSecond, std::chrono::seconds(1)};
  Late late_;
  Line<InAll> fruitless_;
  Line<Unanswered> unanswered_;
  std::map<core::RouteName, Entry> names_;
  std::set<std::string> hosts_;
  SharedNames tables_;
  Names touched_;
  std::set<core::RouteName> building_;
  std::vector<core::RouteName> answers_;
  std::vector<core::RouteName> forsaken_;
};

}  // namespace pillion
