#include "xds/load_reporter.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "proxy/base/jitter.h"
#include "proxy/base/log.h"
#include "proxy/base/protobuf_wire.h"

namespace pillion::xds {
namespace {

constexpr std::string_view kPath =
    "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats";
constexpr uint32_t kClientFeatures = 10;  // field of Node
constexpr std::string_view kSendsAll = "envoy.lrs.supports_send_all_clusters";

using Totals = upstream::HostStats::Totals;

// Counters only grow; a count that is smaller is of another time.
uint64_t grown(uint64_t before, uint64_t now) { return now < before ? now : now - before; }

uint64_t not_negative(int64_t count) { return static_cast<uint64_t>(std::max<int64_t>(count, 0)); }

Load load_between(const Totals& before, const Totals& now) {
  return {grown(before.rq_success, now.rq_success),
          grown(before.rq_error, now.rq_error),
          grown(before.rq_total, now.rq_total),
          not_negative(now.rq_active),
          not_negative(now.cx_active),
          grown(before.cx_total, now.cx_total),
          grown(before.cx_connect_fail, now.cx_connect_fail)};
}

LocalityLoad& locality_of(ClusterLoad& out, const upstream::HostInfo& host) {
  static const upstream::Locality kNowhere;
  const upstream::Locality& locality = host.locality() == nullptr ? kNowhere : *host.locality();
  const auto it = std::ranges::find_if(out.localities, [&](const LocalityLoad& one) {
    return one.priority == host.priority && one.locality == locality;
  });
  if (it != out.localities.end()) return *it;
  LocalityLoad& added = out.localities.emplace_back();
  added.locality = locality;
  added.priority = host.priority;
  return added;
}

}  // namespace

LoadReporter::LoadReporter(const Context& context, config::GrpcService service, std::string node)
    : context_(context),
      service_(std::move(service)),
      node_([&node] {
        wire::write_item(node, kClientFeatures, kSendsAll);
        return std::move(node);
      }()),
      call_(context.clusters, *this, service_.max_message_bytes),
      stats_(context.registry.block<stats::LoadReporterStats>(stats::kControl)) {}

LoadReporter::~LoadReporter() { stop(); }

void LoadReporter::stop() {
  report_timer_.cancel();
  reconnect_timer_.cancel();
  call_.close();
}

void LoadReporter::connect() {
  if (std::exchange(has_connected_, true)) stats_->retries.inc();
  std::vector<upstream::CallField> fields;
  for (const auto& [name, value] : service_.metadata) fields.push_back({name, value});
  call_.open({.cluster = service_.cluster.value,
              .path = kPath,
              .authority = service_.authority,
              .metadata = fields});
  stats_->requests.inc();
  call_.send(encode_load_request(node_, {}), false);
}

void LoadReporter::on_grpc_end(const upstream::GrpcEnd& end) {
  stats_->errors.inc();
  report_timer_.cancel();
  const Duration wait =
      full_jitter(service_.backoff_base, service_.backoff_max, ++failures_, context_.rng);
  if (last_failure_ != end.reason) {
    log::warning(log::kConfig, "no stream for load reports; trying again",
                 {{"cluster", service_.cluster.value}, {"reason", end.reason}});
  }
  last_failure_ = end.reason;
  context_.loop.arm(reconnect_timer_, wait);
}

void LoadReporter::on_grpc_message(std::string_view bytes) {
  Result<LoadStatsResponse> wanted = decode_load_response(bytes);
  if (!wanted) {
    stats_->errors.inc();
    return log::warning(log::kConfig, "not understood: what a server wants to know of our load",
                        {{"cluster", service_.cluster.value}, {"reason", wanted.error()}});
  }
  stats_->responses.inc();
  failures_ = 0;
  last_failure_.clear();
  wanted_ = std::move(*wanted);
  wanted_.interval = std::max(wanted_.interval, kMinInterval);
  const std::vector<std::string> names =
      wanted_.all_clusters ? context_.source.load_clusters() : wanted_.clusters;
  keep_only(names);
  for (const std::string& name : names) {
    LoadSource::Cluster now;
    if (known_.contains(name) || !context_.source.load_of(name, now)) continue;
    begin(known_[name], now);
  }
  context_.loop.arm(report_timer_, wanted_.interval);
}

void LoadReporter::keep_only(const std::vector<std::string>& names) {
  std::vector<std::string_view> sorted(names.begin(), names.end());
  std::ranges::sort(sorted);
  std::erase_if(known_, [&sorted](const auto& item) {
    return !std::ranges::binary_search(sorted, std::string_view(item.first));
  });
}

// What happened before is not told.
void LoadReporter::begin(Known& known, const LoadSource::Cluster& now) const {
  known.since = context_.loop.now();
  known.told_dropped = now.dropped;
  if (now.hosts == nullptr) return;
  for (const upstream::HostInfoPtr& host : now.hosts->hosts)
    known.hosts[host->id] = {host, host->stats.sum()};
}

ClusterLoad LoadReporter::take(std::string_view name, Known& known,
                               const LoadSource::Cluster& now) const {
  ClusterLoad out;
  out.name = name;
  out.service_name = now.service_name;
  out.interval = context_.loop.now() - std::exchange(known.since, context_.loop.now());
  out.dropped = grown(std::exchange(known.told_dropped, now.dropped), now.dropped);
  std::map<upstream::HostId, Known::Host> before = std::exchange(known.hosts, {});
  if (now.hosts != nullptr) {
    for (const upstream::HostInfoPtr& host : now.hosts->hosts)
      known.hosts[host->id] = {host, std::exchange(before[host->id].told, {})};
  }
  const auto add = [&](Known::Host& host) {
    const Totals totals = host.info->stats.sum();
    const Load load = load_between(std::exchange(host.told, totals), totals);
    if (load.is_idle()) return;
    LocalityLoad& locality = locality_of(out, *host.info);
    locality.load.add(load);
    if (wanted_.endpoints_too) locality.endpoints.push_back({host.info->address, load});
  };
  for (auto& [id, host] : known.hosts) add(host);
  // Those that are gone have had their last requests.
  for (auto& [id, host] : before)
    if (host.info != nullptr && !known.hosts.contains(id)) add(host);
  return out;
}

void LoadReporter::report() {
  context_.loop.arm(report_timer_, wanted_.interval);
  if (!call_.is_open() || call_.is_backed_up()) return;
  std::vector<ClusterLoad> clusters;
  const std::vector<std::string> names =
      wanted_.all_clusters ? context_.source.load_clusters() : wanted_.clusters;
  if (wanted_.all_clusters) keep_only(names);
  for (const std::string& name : names) {
    LoadSource::Cluster now;
    if (!context_.source.load_of(name, now)) continue;
    const auto [it, is_new] = known_.try_emplace(name);
    if (is_new) it->second.since = context_.loop.now() - wanted_.interval;
    ClusterLoad load = take(name, it->second, now);
    // Of all clusters of a mesh most are idle: no news of them are no load.
    if (!wanted_.all_clusters || !load.localities.empty() || load.dropped != 0)
      clusters.push_back(std::move(load));
  }
  stats_->requests.inc();
  call_.send(encode_load_request({}, clusters), false);
}

}  // namespace pillion::xds
