#pragma once
// ControlPlane: what the server does with what the control plane says.
//
// Owned by the Server, on the control loop.  Clusters, listeners and routes go to the builder, in
// the order in which they came; the host asks for them when it can build, and tells what became of
// them. Endpoints go straight to discovery, some at a time, and only start a build if a cluster
// waited for them.  Secrets go straight to where secrets are kept.
//
//   start():  CDS  ->  its clusters have endpoints  ->  LDS  ->  its listeners have routes  ->
//             on_initialized(), once.  What is not answered in its time is not waited for, nor what
//             comes and must be refused.
//
// The order in which subscriptions begin is Envoy's: listeners of the first moment find clusters.

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "certs/ads_secrets.h"
#include "proxy/admin/server_view.h"
#include "proxy/builder.h"
#include "proxy/io/loop.h"
#include "proxy/settle.h"
#include "proxy/snapshot.h"
#include "proxy/stats/registry.h"
#include "proxy/update_stats.h"
#include "xds/ads.h"

namespace pillion {

class ControlPlaneHost {
 public:
  // There is something for add_to(), or time has passed.  Not inside another call.
  virtual void on_resources_wait() = 0;
  virtual void on_endpoints(const std::string& eds_name, const upstream::HostSet& endpoints) = 0;
  virtual void on_initialized() = 0;

 protected:
  ~ControlPlaneHost() = default;
};

class ControlPlane final : private xds::AdsObserver,
                           private certs::AdsSecrets::Subscriber,
                           private io::ReadyTask {
 public:
  // All of them outlive the object.
  struct Context {
    io::Loop& loop;
    Rng& rng;
    upstream::ClusterClient& clusters;
    stats::Registry& registry;
    config::UnknownFields unknown_fields = config::UnknownFields::kWarn;  // of endpoints
    certs::AdsSecrets* secrets = nullptr;  // null: none are asked for
  };
  ControlPlane(const Context& context, const DynamicConfig& config, ControlPlaneHost& host);

  // `snapshot`: of the file.
  void start(const Snapshot& snapshot);
  void stop() { ads_.stop(); }

  // What the next build shall take in, and know.
  enum class Take : uint8_t { kStateAlone, kResponsesToo };
  void add_to(BuildJob& job, Take take);
  // It did; the snapshot is the server's now.
  void on_built(const BuildResult& result, const Snapshot& snapshot);

  [[nodiscard]] bool is_initialized() const noexcept { return phase_ == Phase::kRunning; }
  // The assignments in force, for /config_dump.
  void append_endpoints(std::vector<admin::ConfigResource>& out) const;
  // EDS names whose endpoints must be kept.
  [[nodiscard]] const SharedNames& endpoints() const noexcept { return settled_; }
  // Has one of them gone since it was asked last?
  [[nodiscard]] bool has_dropped_endpoints() noexcept {
    return std::exchange(has_dropped_endpoints_, false);
  }

 private:
  enum class Phase : uint8_t { kClusters, kListeners, kRunning };
  struct Assignment {
    uint64_t bytes_hash = 0;
    std::string version;
    WallTime updated{};
    std::shared_ptr<const config::Document> document;
  };

  void on_resources(xds::Response&& response) override;
  void on_fetch_timeout(xds::ResourceType type, const std::set<std::string>& names) override;
  void on_connected(bool connected, std::string_view text) override;
  void run_ready() override;
  void subscribe_secrets(const certs::AdsSecrets::Names& names) override {
    ads_.subscribe(xds::ResourceType::kSecrets, names);
  }

  void take_secrets(const xds::Response& response);
  std::string take_assignment(const xds::Resource& resource);
  std::string read_assignment(const xds::Resource& resource, uint64_t hash);
  void refuse_all(xds::ResourceType type);
  bool look_at_routes(const Resources& resources);
  // May what is refused, and has no predecessor, be gone without?  At the start, which it must not
  // hold up; later its timeout ends the wait.
  [[nodiscard]] bool may_go_without() const noexcept { return phase_ != Phase::kRunning; }
  void update_subscriptions(const std::shared_ptr<const Resources>& resources);
  void want_endpoints(const Resources& resources, const Names& touched);
  void want_routes(const Resources& resources, const Names& touched);
  void advance();
  void on_deadline() { host_.on_resources_wait(); }
  void update_stats();
  void count_failures();

  Context context_;
  const DynamicConfig config_;
  ControlPlaneHost& host_;
  xds::AdsClient ads_;
  Phase phase_ = Phase::kClusters;
  bool has_clusters_ = false;   // CDS was answered, or is not waited for
  bool has_listeners_ = false;  // LDS likewise
  size_t warming_clusters_ = 0;
  size_t warming_listeners_ = 0;
  std::vector<xds::Response> waiting_;  // for the builder
  std::map<std::string, Duration> wanted_routes_;
  std::map<std::string, Duration> wanted_endpoints_;
  std::shared_ptr<const Resources> resources_;  // whose names these are; null: nobody's
  SharedNames settled_;                         // EDS names that were answered or given up
  bool has_dropped_endpoints_ = false;
  std::set<std::string> given_up_routes_;
  std::map<std::string, Assignment> assignments_;
  // Of the RDS response that is being built.
  std::vector<std::string> routes_;
  std::string routes_version_;
  // The EDS response that is being taken.
  xds::Response endpoints_;
  size_t next_ = 0;
  std::string wrong_;
  bool has_settled_ = false;  // a name, so that a build must follow
  io::Timer linger_timer_ = io::Timer::of<&ControlPlane::on_deadline>(this);

  stats::BlockRef<stats::ControlPlaneStats> stats_;
  stats::BlockRef<stats::ServerStats> server_stats_;
  stats::BlockRef<stats::CdsStats> cds_stats_;
  stats::BlockRef<stats::LdsStats> lds_stats_;
  UpdateStats<stats::ClusterInfoStats> endpoint_stats_;
  UpdateStats<stats::RdsStats> route_stats_;
  xds::AdsCounts told_[xds::kResourceTypes];  // of which the counters speak
};

}  // namespace pillion
