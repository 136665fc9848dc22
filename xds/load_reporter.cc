#include "xds/load_reporter.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
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
  known.hosts = now.hosts;
  if (now.hosts == nullptr) return;
  known.told.reserve(now.hosts->hosts.size());
  for (const upstream::HostInfoPtr& host : now.hosts->hosts)
    known.told.push_back(host->stats.sum());
}

// One report of a cluster's hosts.  Most sets are those of the report before, or nearly: their
// hosts are compared place by place, and looked up by id from the first difference on.
class LoadReporter::Report {
 public:
  Report(ClusterLoad& out, Known& known, bool endpoints_too)
      : out_(out),
        before_(std::move(known.hosts)),
        told_(std::move(known.told)),
        endpoints_too_(endpoints_too) {}

  // What is told of by now: for the next report.
  std::vector<Totals> take(const upstream::HostSet& now) {
    if (before_.get() == &now) {
      for (; same_ < count(); ++same_) add(*now.hosts[same_], told_[same_]);
      return std::move(told_);
    }
    std::vector<Totals> told;
    told.reserve(now.hosts.size());
    for (const upstream::HostInfoPtr& host : now.hosts) {
      told.push_back(told_of(host->id));
      add(*host, told.back());
    }
    return told;
  }
  // Those that are gone have had their last requests.
  void take_gone() {
    for (; same_ < count(); ++same_)
      if (!index_ || index_->contains(id(same_))) add(*before_->hosts[same_], told_[same_]);
  }

 private:
  [[nodiscard]] size_t count() const { return before_ == nullptr ? 0 : before_->hosts.size(); }
  [[nodiscard]] upstream::HostId id(size_t place) const { return before_->hosts[place]->id; }

  // Nothing, of one that is new.
  Totals told_of(upstream::HostId host) {
    if (!index_) {
      if (same_ < count() && id(same_) == host) return told_[same_++];
      index_.emplace();
      for (size_t i = same_; i < count(); ++i) index_->emplace(id(i), i);
    }
    const auto it = index_->find(host);
    if (it == index_->end()) return {};
    const size_t place = it->second;
    index_->erase(it);
    return told_[place];
  }
  void add(const upstream::HostInfo& host, Totals& told) {
    const Totals totals = host.stats.sum();
    const Load load = load_between(std::exchange(told, totals), totals);
    if (load.is_idle()) return;
    LocalityLoad& locality = locality_of(out_, host);
    locality.load.add(load);
    if (endpoints_too_) locality.endpoints.push_back({host.address, load});
  }

  ClusterLoad& out_;
  const upstream::HostSetPtr before_;
  std::vector<Totals> told_;
  const bool endpoints_too_;
  size_t same_ = 0;  // that both sets have in the same places
  // Of the others those that were not found yet.
  std::optional<std::unordered_map<upstream::HostId, size_t>> index_;
};

ClusterLoad LoadReporter::take(std::string_view name, Known& known,
                               const LoadSource::Cluster& now) const {
  ClusterLoad out;
  out.name = name;
  out.service_name = now.service_name;
  out.interval = context_.loop.now() - std::exchange(known.since, context_.loop.now());
  out.dropped = grown(std::exchange(known.told_dropped, now.dropped), now.dropped);
  Report report(out, known, wanted_.endpoints_too);
  known.told = now.hosts == nullptr ? std::vector<Totals>() : report.take(*now.hosts);
  report.take_gone();
  known.hosts = now.hosts;
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
