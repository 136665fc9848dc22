#pragma once
// LoadReporter: tells a control plane what load goes where
// (envoy.service.load_stats.v3.LoadReportingService, StreamLoadStats).
//
// Owned by the Server, on the control loop.  A stream that is kept open: node first, then the
// server says of which clusters it wants to know and how often, and gets a report in each interval:
// per locality and priority, per endpoint if it asks, what has happened since the report before.  A
// new answer of the server changes what is reported; a cluster that stays keeps its count.
//
// Between reports nothing runs but one timer.  What a server does not read is not sent: the next
// report then covers the time of both.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/rng.h"
#include "proxy/config/grpc_service.h"
#include "proxy/io/loop.h"
#include "proxy/stats/registry.h"
#include "proxy/upstream/cluster_client.h"
#include "proxy/upstream/grpc_call.h"
#include "proxy/upstream/host_set.h"
#include "xds/load_stats.h"

namespace pillion::xds {

// Where the counts come from.
class LoadSource {
 public:
  struct Cluster {
    std::string_view service_name;  // of EDS; empty: none of its own
    upstream::HostSetPtr hosts;     // null: none
    uint64_t dropped = 0;           // since the start
  };
  [[nodiscard]] virtual std::vector<std::string> load_clusters() const = 0;
  // False: there is none of this name.
  virtual bool load_of(std::string_view cluster, Cluster& out) const = 0;

 protected:
  ~LoadSource() = default;
};

class LoadReporter final : private upstream::GrpcCallObserver {
 public:
  // Servers that ask for less are told this often.
  static constexpr Duration kMinInterval = std::chrono::milliseconds(100);

  struct Context {
    io::Loop& loop;
    Rng& rng;
    upstream::ClusterClient& clusters;
    const LoadSource& source;
    stats::Registry& registry;
  };
  // `node`: encoded envoy.config.core.v3.Node.
  LoadReporter(const Context& context, config::GrpcService service, std::string node);
  LoadReporter(const LoadReporter&) = delete;
  LoadReporter& operator=(const LoadReporter&) = delete;
  ~LoadReporter();

  void start() { connect(); }
  void stop();

 private:
  // What was reported of a cluster so far.
  struct Known {
    upstream::HostSetPtr hosts;                     // as of the last report; null: none
    std::vector<upstream::HostStats::Totals> told;  // of each of them
    uint64_t told_dropped = 0;
    Instant since{};
  };

  void on_grpc_message(std::string_view bytes) override;
  void on_grpc_end(const upstream::GrpcEnd& end) override;
  void connect();
  void report();
  void keep_only(const std::vector<std::string>& names);
  void begin(Known& known, const LoadSource::Cluster& now) const;
  class Report;
  ClusterLoad take(std::string_view name, Known& known, const LoadSource::Cluster& now) const;

  Context context_;
  const config::GrpcService service_;
  const std::string node_;
  upstream::GrpcCall call_;
  LoadStatsResponse wanted_;
  std::map<std::string, Known, std::less<>> known_;
  stats::BlockRef<stats::LoadReporterStats> stats_;
  bool has_connected_ = false;
  uint32_t failures_ = 0;
  std::string last_failure_;
  io::Timer report_timer_ = io::Timer::of<&LoadReporter::report>(this);
  io::Timer reconnect_timer_ = io::Timer::of<&LoadReporter::connect>(this);
};

}  // namespace pillion::xds
