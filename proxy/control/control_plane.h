#pragma once
// ControlPlane: what the server does with what the control plane says, be it a stream or a file
// (subscriptions.h).
//
// Owned by the Server, on the control loop.  Clusters, listeners and routes go to the builder, in
// the order in which they came; the host asks for them when it can build, and tells what became of
// them. Endpoints go straight to discovery, some at a time, and only start a build if a cluster
// waited for them.  Secrets go straight to where secrets are kept.
//
//   start():  RTDS  ->  CDS  ->  its clusters have endpoints  ->  LDS  ->  its listeners have
//             routes and filters  ->  on_initialized(), once.  What is not answered in its time is
//             not waited for, nor what comes and must be refused.
//
// The order in which subscriptions begin is Envoy's: listeners of the first moment find clusters.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "certs/ads_secrets.h"
#include "proxy/admin/server_view.h"
#include "proxy/builder/builder.h"
#include "proxy/builder/extensions.h"
#include "proxy/builder/needs.h"
#include "proxy/builder/scoped_routes.h"
#include "proxy/builder/snapshot.h"
#include "proxy/builder/update_stats.h"
#include "proxy/builder/virtual_hosts.h"
#include "proxy/control/assignments.h"
#include "proxy/control/refusal_log.h"
#include "proxy/control/route_requests.h"
#include "proxy/control/subscriptions.h"
#include "proxy/control/wanted_hosts.h"
#include "proxy/io/loop.h"
#include "proxy/stats/registry.h"
#include "xds/resource_document.h"
#include "xds/source.h"

namespace pillion {

class ControlPlaneHost {
 public:
  // There is something for add_to(), or time has passed.  Not inside another call.
  virtual void on_resources_wait() = 0;
  virtual void on_endpoints(const std::string& eds_name, const upstream::HostSetPtr& hosts) = 0;
  // Those in force; may be null.
  [[nodiscard]] virtual upstream::HostSetPtr endpoints_of(const std::string& eds_name) const = 0;
  virtual void on_initialized() = 0;
  // Of endpoints that were taken; they are counted.
  virtual void on_unknown_fields(const config::UnknownFieldMap& fields) = 0;
  // Workers that asked for these have what became of it.
  virtual void on_routes_answered(const std::vector<core::RouteName>& /*names*/) {}

 protected:
  ~ControlPlaneHost() = default;
};

class ControlPlane final : private xds::SourceObserver,
                           private certs::AdsSecrets::Subscriber,
                           private AssignmentsHost {
 public:
  // All of them outlive the object.
  struct Context {
    io::Loop& loop;
    Rng& rng;
    upstream::ClusterClient& clusters;
    stats::Registry& registry;
    config::UnknownFields unknown_fields = config::UnknownFields::kCount;  // of endpoints
    certs::AdsSecrets* secrets = nullptr;  // null: none are asked for
    std::string node = {};                 // encoded envoy.config.core.v3.Node
    std::string last_good_path = {};       // Subscriptions::Context
    std::string owner = {};
  };
  ControlPlane(const Context& context, const DynamicConfig& config, ControlPlaneHost& host);
  // Does it need one?
  static bool is_dynamic(const Snapshot& snapshot);

  // `snapshot`: of the file.
  void start(const Snapshot& snapshot);
  void stop() {
    stay_timer_.cancel();
    sources_.stop();
  }

  // What the next build shall take in, and know.
  enum class Take : uint8_t { kStateAlone, kResponsesToo };
  void add_to(BuildJob& job, Take take);
  // It did; `snapshot`: the server's now, which is the one before unless the result was taken.
  void on_built(const BuildResult& result, const Snapshot& snapshot, bool is_taken = true);

  // Workers have the last snapshot.
  void on_applied();
  // Requests of a worker wait for it (core/route_demand.h).
  void want_route(const core::RouteName& name);

  [[nodiscard]] bool is_initialized() const noexcept { return phase_ == Phase::kRunning; }
  // The assignments in force, or refused, for /config_dump.
  void append_endpoints(std::vector<admin::ConfigResource>& out) const {
    assignments_.append_to(out);
  }
  // ---- for admin pages ----
  [[nodiscard]] bool is_connected() const noexcept { return sources_.is_connected(); }
  [[nodiscard]] std::set<std::string> silent_clusters() const { return sources_.silent_clusters(); }
  // What the control plane calls itself; after the end of a stream: why it ended.
  [[nodiscard]] const std::string& peer_text() const noexcept { return peer_text_; }
  [[nodiscard]] std::string_view version(xds::ResourceType type) const noexcept {
    return sources_.version(type);
  }
  // The first clusters, or listeners, have not come, and are waited for.
  [[nodiscard]] bool awaits_clusters() const noexcept { return !has_clusters_; }
  [[nodiscard]] bool awaits_listeners() const noexcept { return !has_listeners_; }
  // By name, with how long they are waited for: layers of the runtime that hold up the start, and
  // what is asked for of routes and endpoints.
  [[nodiscard]] const WantedNames& awaited_layers() const noexcept { return awaited_layers_; }
  [[nodiscard]] const WantedNames& routes_wanted() const noexcept { return wanted_routes_; }
  [[nodiscard]] const WantedNames& endpoints_wanted() const noexcept {
    return assignments_.wanted();
  }
  [[nodiscard]] const std::set<std::string>& given_up_routes() const noexcept {
    return given_up_routes_;
  }

  // Of endpoints.
  [[nodiscard]] std::string_view endpoints_version(const std::string& eds_name) const {
    return assignments_.version(eds_name);
  }
  // EDS names that were answered or given up.
  [[nodiscard]] const SharedNames& endpoints() const noexcept { return assignments_.settled(); }
  // EDS names whose endpoints need not be kept any more, since it was asked last.
  [[nodiscard]] std::vector<std::string> take_dropped_endpoints() {
    return assignments_.take_dropped();
  }

 private:
  enum class Phase : uint8_t { kRuntime, kClusters, kListeners, kRunning };

  void on_resources(xds::Response&& response) override;
  void on_fetch_timeout(xds::ResourceType type, const std::set<std::string>& names) override;
  void on_connected(bool connected, std::string_view cluster, std::string_view text) override;
  void tell_streams();
  void change_secrets(const certs::AdsSecrets::Names& come, const Names& gone) override;

  void on_endpoints(const std::string& eds_name, const upstream::HostSetPtr& hosts) override {
    host_.on_endpoints(eds_name, hosts);
  }
  [[nodiscard]] upstream::HostSetPtr endpoints_of(const std::string& eds_name) const override {
    return host_.endpoints_of(eds_name);
  }
  void on_assignment_answered(const std::string& eds_name) override {
    sources_.answered(xds::ResourceType::kEndpoints, eds_name);
  }
  void on_assignments_taken(uint32_t source, const std::string& wrong,
                            const std::set<std::string>& refused, bool has_settled) override;
  void on_unknown_fields(const config::UnknownFieldMap& fields) override {
    host_.on_unknown_fields(fields);
  }
  [[nodiscard]] const Subscriptions::Names& asked_of(uint32_t source) const override {
    return sources_.asked(source, xds::ResourceType::kEndpoints);
  }

  void take_secrets(const xds::Response& response);
  // `refused`: all but these were taken; null: nothing was, or nothing is wrong.
  void answer(uint32_t source, xds::ResourceType type, std::string_view wrong,
              const std::set<std::string>* refused = nullptr);
  void refuse_all(uint32_t source, xds::ResourceType type);
  bool look_at_routes(const Resources& resources, Duration took);
  // May what is refused, and has no predecessor, be gone without?  At the start, which it must not
  // hold up; later its timeout ends the wait.
  [[nodiscard]] bool may_go_without() const override { return phase_ != Phase::kRunning; }
  void look_at_runtime(const Snapshot& snapshot);
  bool postpone(xds::Response& response);
  void take_postponed();
  std::vector<xds::Response> take_waiting();
  void on_clusters_judged(bool is_refused);
  void update_subscriptions(const std::shared_ptr<const Resources>& resources);
  void follow_endpoints();
  void want_routes(const Resources& resources, const Names& touched);
  void ask_for_clusters();
  void subscribe_routes();
  void subscribe_scopes();
  void advance();
  void on_deadline() { host_.on_resources_wait(); }
  void note_heard(const xds::Response& response);
  void note_answers(xds::Response& response);
  void leave_late_hosts(xds::Response& response);
  void ask_for_hosts();
  void update_vhds(const Resources& before, const Resources& now, const Names& routes);
  void drop_hosts(const std::set<std::string>& names);
  void drop_unused_routes();
  void drop_forsaken_routes();
  void drop_unnamed_tables(const Resources& now, const Names& names);
  void update_stats();
  void count_built(const BuildResult& result, const Resources& resources, Duration took);
  void count_empty_routes(const xds::Response& response);
  void count_failures();

  Context context_;
  const DynamicConfig config_;
  ControlPlaneHost& host_;
  Subscriptions sources_;
  RefusalLog refusal_log_;
  Phase phase_ = Phase::kRuntime;
  bool has_clusters_ = false;   // CDS was answered, or is not waited for
  bool has_listeners_ = false;  // LDS likewise
  size_t warming_clusters_ = 0;
  size_t warming_listeners_ = 0;
  std::vector<xds::Response> waiting_;    // for the builder
  std::vector<xds::Response> postponed_;  // they wait for what the server says of clusters
  size_t before_clusters_ = 0;            // of these: there before the clusters that are judged now
  bool are_clusters_refused_ = false;     // the last ones were, or some of them
  WantedNames wanted_routes_;
  std::optional<Wanted> wanted_scopes_;
  bool given_up_scopes_ = false;
  bool asks_for_scopes_ = false;  // SRDS is subscribed to
  RouteRequests requests_;
  std::vector<core::RouteName> answered_;  // workers are to be told at once
  bool given_up_virtual_hosts_ = false;
  WantedHosts hosts_;
  std::set<std::string> dropped_hosts_;   // for the next build
  std::set<std::string> dropping_hosts_;  // of the one that runs
  WantedNames wanted_secrets_;
  // Of the last one, which what is asked for was made of; null: there was none.
  std::shared_ptr<const Resources> resources_;
  EndpointNeeds endpoint_needs_;
  RouteNeeds route_needs_;
  Names touched_endpoints_;  // EDS names that are to be looked at
  Names untold_endpoints_;   // that the source must be told of
  std::set<std::string> given_up_routes_;
  ExtensionUpdates extensions_;
  WantedNames awaited_layers_;  // of the runtime: they hold up the start
  Assignments assignments_;
  // Of the RDS responses that are being built: names with the version of their response.
  std::vector<std::pair<std::string, std::string>> routes_;
  Instant build_began_{};  // of the responses that are being built
  std::string peer_text_;
  std::set<std::string, std::less<>> untold_streams_;  // clusters that have taken one just now
  struct AskForHosts final : io::ReadyTask {
    explicit AskForHosts(ControlPlane& plane) : control(plane) {}
    void run_ready() override { control.ask_for_hosts(); }
    ControlPlane& control;
  };
  AskForHosts ask_for_hosts_{*this};
  struct FollowEndpoints final : io::ReadyTask {
    explicit FollowEndpoints(ControlPlane& plane) : control(plane) {}
    void run_ready() override { control.follow_endpoints(); }
    ControlPlane& control;
  };
  FollowEndpoints follow_endpoints_{*this};
  io::Timer stay_timer_ = io::Timer::of<&ControlPlane::tell_streams>(this);
  io::Timer unused_timer_ = io::Timer::of<&ControlPlane::drop_unused_routes>(this);
  io::Timer forsaken_timer_ = io::Timer::of<&ControlPlane::drop_forsaken_routes>(this);
  io::Timer postpone_timer_ = io::Timer::of<&ControlPlane::take_postponed>(this);
  io::Timer linger_timer_ = io::Timer::of<&ControlPlane::on_deadline>(this);

  stats::BlockRef<stats::ControlPlaneStats> stats_;
  stats::BlockRef<stats::CdsStats> cds_stats_;
  stats::BlockRef<stats::LdsStats> lds_stats_;
  stats::BlockRef<stats::RuntimeStats> runtime_stats_;
  UpdateStats<stats::RdsStats> route_stats_;
  ScopedRdsStats scope_stats_;
  VhdsStats host_stats_;
  xds::SourceCounts told_[xds::kResourceTypes];  // of which the counters speak
  xds::RateCounts told_rates_;                   // likewise
  uint64_t told_superseded_ = 0;                 // likewise, of all types
};

}  // namespace pillion
