#pragma once
// Assignments: what a control plane says of endpoints (EDS), from the response to the sets of
// hosts.
//
// Owned by the ControlPlane, on its loop.  It knows which names are wanted, takes responses some
// resources at a time, so that a large one holds nobody up, and keeps what was said, as bytes, for
// /config_dump.  Nearly all of it goes from the bytes straight to endpoints; what takes longer than
// some milliseconds is read by a thread of its own, while the rest waits (assignment_reading.h).
//
//   change(...)     whenever the configuration in force, or one that waits, needs others
//   take(response)  ->  on_endpoints()* on_assignment_answered()*  ->  on_assignments_taken(), once
//
// Responses are taken in their order, the next when the one before is done.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "proxy/admin/server_view.h"
#include "proxy/base/background_queue.h"
#include "proxy/base/clock.h"
#include "proxy/base/packed_bytes.h"
#include "proxy/base/rare.h"
#include "proxy/base/shared_map.h"
#include "proxy/base/shared_text.h"
#include "proxy/base/text_map.h"
#include "proxy/builder/update_stats.h"
#include "proxy/config/errors.h"
#include "proxy/control/assignment_reading.h"
#include "proxy/control/subscriptions.h"
#include "proxy/io/inbox.h"
#include "proxy/io/loop.h"
#include "proxy/stats/registry.h"
#include "proxy/upstream/host_set.h"
#include "xds/resource_document.h"

namespace pillion {

class AssignmentsHost {
 public:
  virtual void on_endpoints(const std::string& eds_name, const upstream::HostSetPtr& hosts) = 0;
  // Those in force; may be null.
  [[nodiscard]] virtual upstream::HostSetPtr endpoints_of(const std::string& eds_name) const = 0;
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
  ~Assignments();

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
  // Those that have gone since it was asked last.
  [[nodiscard]] std::vector<std::string> take_dropped();
  // Of what was said of it last; empty: nothing was.
  [[nodiscard]] std::string_view version(const std::string& eds_name) const {
    const auto it = known_.find(eds_name);
    return it == known_.end() ? std::string_view() : it->second.version.view();
  }
  // What is in force, and what was refused since, for /config_dump.
  void append_to(std::vector<admin::ConfigResource>& out) const;

 private:
  struct Assignment {
    SharedText version;
    WallTime updated{};
    PackedBytes bytes;                 // with its name
    Rare<xds::ResourceDocument> file;  // of what came from a file
  };

  void count(const config::UnknownFieldMap& fields);
  void run_ready() override;
  void begin(const xds::Response& response);
  void note_empty(const xds::Response& response);
  void finish();
  // False: a thread reads it, and goes on with the rest when it has.
  bool take_assignment(const xds::Resource& resource);
  [[nodiscard]] std::optional<AssignmentRead> read_here(const xds::Resource& resource);
  void read_on_thread(const xds::Resource& resource);
  // What was read of it.
  void use(const xds::Resource& resource, AssignmentRead&& read);
  void put_in_force(const xds::Resource& resource, AssignmentRead&& read);
  void describe(std::string_view name, const Assignment& said, admin::ConfigResource& out) const;

  Context context_;
  AssignmentsHost& host_;
  WantedNames wanted_;
  SharedNames settled_;
  std::vector<std::string> dropped_;
  std::unordered_map<SharedText, Assignment, SharedTextHash, SharedTextEqual> known_;
  // Of those whose last update was refused.
  std::map<std::string, admin::ConfigFailure, std::less<>> failures_;
  AssignmentReading reading_;
  // The first is being taken.
  std::deque<xds::Response> waiting_;
  size_t next_ = 0;         // of its resources
  SharedText version_;      // that it brings
  bool has_begun_ = false;  // the first of `waiting_`
  bool is_busy_ = false;
  Instant resource_began_{};
  std::string wrong_;
  std::set<std::string> refused_;
  bool has_settled_ = false;
  UpdateStats<stats::ClusterInfoStats> stats_;
  stats::BlockRef<stats::ServerStats> server_stats_;
  io::Inbox inbox_{context_.loop};
  BackgroundQueue reader_;
};

}  // namespace pillion
