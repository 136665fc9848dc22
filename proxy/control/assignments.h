#pragma once
// Assignments: what a control plane says of endpoints (EDS), from the response to the sets of
// hosts.
//
// Owned by the ControlPlane, on its loop.  It knows which names are wanted, takes responses some
// resources at a time, so that a large one holds nobody up, and keeps what was said for
// /config_dump.
//
//   change(...)     whenever the configuration in force, or one that waits, needs others
//   take(response)  ->  on_endpoints()* on_assignment_answered()*  ->  on_assignments_taken(), once
//
// Responses are taken in their order, the next when the one before is done.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/admin/server_view.h"
#include "proxy/base/clock.h"
#include "proxy/base/shared_map.h"
#include "proxy/builder/update_stats.h"
#include "proxy/config/errors.h"
#include "proxy/control/subscriptions.h"
#include "proxy/io/loop.h"
#include "proxy/stats/registry.h"
#include "proxy/upstream/host_set.h"
#include "xds/resource_document.h"

namespace pillion {

class AssignmentsHost {
 public:
  virtual void on_endpoints(const std::string& eds_name, const upstream::HostSet& endpoints) = 0;
  // It need not be waited for any more.
  virtual void on_assignment_answered(const std::string& eds_name) = 0;
  // A response has been taken.  `wrong`: why it is refused, or empty; `refused`: which names of it,
  // while the others count; none: nothing, or all of it.  `has_settled`: names that were waited for
  // are settled, so that a build must follow.
  virtual void on_assignments_taken(uint32_t source, const std::string& wrong,
                                    const std::set<std::string>& refused, bool has_settled) = 0;
  // The names that this source is asked for.
  [[nodiscard]] virtual const Subscriptions::Names& asked_of(uint32_t source) const = 0;
  virtual void on_unknown_fields(const config::UnknownFieldMap& fields) = 0;
  // May what is refused, and has no predecessor, be gone without?
  [[nodiscard]] virtual bool may_go_without() const = 0;

 protected:
  ~AssignmentsHost() = default;
};

class Assignments final : private io::ReadyTask {
 public:
  // All of them outlive the object.
  struct Context {
    io::Loop& loop;
    stats::Registry& registry;
    config::UnknownFields unknown_fields = config::UnknownFields::kWarn;
  };
  Assignments(const Context& context, AssignmentsHost& host);

  // Of the names that may have changed (`touched`) from now on these are wanted, each with its
  // initial_fetch_timeout, and with whose counters they move.  What is known of the others of them
  // is forgotten.
  void change(const Names& touched, WantedNames now, const ResourceUsers& users);
  [[nodiscard]] const WantedNames& wanted() const noexcept { return wanted_; }
  void take(xds::Response&& response);
  // These have not come in time: they count as settled.
  void on_fetch_timeout(const std::set<std::string>& names);
  // Its source has failed so many times.
  void on_failures(std::string_view name, uint64_t times) { stats_.on_failures(name, times); }

  // Wanted names that were answered or given up.
  [[nodiscard]] const SharedNames& settled() const noexcept { return settled_; }
  // Has one of them gone since it was asked last?
  [[nodiscard]] bool has_dropped() noexcept { return std::exchange(has_dropped_, false); }
  // Of what was said of it last; empty: nothing was.
  [[nodiscard]] std::string_view version(const std::string& eds_name) const {
    const auto it = known_.find(eds_name);
    return it == known_.end() ? std::string_view() : it->second.version;
  }
  // What is in force, for /config_dump.
  void append_to(std::vector<admin::ConfigResource>& out) const;

 private:
  struct Assignment {
    uint64_t bytes_hash = 0;
    std::string version;
    WallTime updated{};
    xds::ResourceDocument read;
  };

  void run_ready() override;
  void begin(const xds::Response& response);
  void note_empty(const xds::Response& response);
  void finish();
  std::string take_assignment(const xds::Resource& resource);
  std::string read_assignment(const xds::Resource& resource, uint64_t hash);

  Context context_;
  AssignmentsHost& host_;
  WantedNames wanted_;
  SharedNames settled_;
  bool has_dropped_ = false;
  std::map<std::string, Assignment> known_;
  // The first is being taken.
  std::deque<xds::Response> waiting_;
  size_t next_ = 0;  // of its resources
  bool is_busy_ = false;
  std::string wrong_;
  std::set<std::string> refused_;
  bool has_settled_ = false;
  UpdateStats<stats::ClusterInfoStats> stats_;
  stats::BlockRef<stats::ServerStats> server_stats_;
};

}  // namespace pillion
