// What the admin pages see of the server, and what they make it do.
#include <algorithm>

#include "proxy/admin/config_json.h"
#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "proxy/config/node.h"
#include "proxy/server.h"
#include "proxy/tls/x509_info.h"

namespace pillion {
namespace {

std::string_view kind_of(tls::SanType type) {
  switch (type) {
    case tls::SanType::kUri:
      return "uri";
    case tls::SanType::kDns:
      return "dns";
    case tls::SanType::kIp:
      return "ip_address";
    case tls::SanType::kEmail:
      return "email";
  }
  return "";
}

admin::CertificateStatus status_of(const tls::CertificateInfo& info, const std::string& path) {
  admin::CertificateStatus out;
  out.path = path;
  out.serial_number = info.serial;
  for (const tls::San& san : info.sans)
    out.subject_alt_names.emplace_back(kind_of(san.type), san.text);
  out.valid_from = tls::wall_time(info.not_before);
  out.expiration = tls::wall_time(info.not_after);
  return out;
}

admin::CircuitBreakerStatus breaker_of(const upstream::LimitValues& limits) {
  return {limits.max_connections, limits.max_pending, limits.max_requests, limits.max_retries};
}

void add_verdict(const discovery::HostVerdict& verdict, admin::HostStatus& out) {
  const auto has = [&verdict](upstream::HealthFlag flag) { return (verdict.flags & flag) != 0; };
  out.failed_active_health_check = has(upstream::kFailedActive);
  out.failed_outlier_check = has(upstream::kFailedOutlier);
  out.degraded = has(upstream::kDegradedActive);
  out.pending_active_health_check = has(upstream::kPendingActive);
  out.excluded_via_immediate_hc_fail = has(upstream::kExcludedByAnswer);
  out.active_hc_timeout = has(upstream::kActiveTimeout);
  out.success_rate = verdict.success_rate;
  out.local_origin_success_rate = verdict.local_success_rate;
}

}  // namespace

admin::ServerState Server::state() const {
  if (!ready_) return admin::ServerState::kInitializing;
  const bool is_draining = shutting_down_ || draining_ || health_check_failed_;
  return is_draining ? admin::ServerState::kDraining : admin::ServerState::kLive;
}

std::string Server::version() const { return str("pillion/", PILLION_VERSION); }

std::chrono::seconds Server::uptime() const {
  return std::chrono::duration_cast<std::chrono::seconds>(MonotonicClock::now() - started_);
}

void Server::write_command_line(JsonWriter& json) const {
  json.field("config_path", options_.config_path)
      .field("config_yaml", options_.config_yaml.empty() ? "" : admin::kRedacted);
  json.field("concurrency", uint64_t{concurrency_});
  json.field("log_level", options_.log_level)
      .field("component_log_level", options_.component_log_levels);
  json.field("log_path", options_.log_path);
  json.field("drain_time", str(options_.drain_time / std::chrono::seconds(1), "s"));
  const bool is_gradual = options_.drain_strategy == Options::DrainStrategy::kGradual;
  json.field("drain_strategy", is_gradual ? "Gradual" : "Immediate");
  json.field("parent_shutdown_time",
             str(options_.parent_shutdown_time / std::chrono::seconds(1), "s"));
  json.field("mode", "Serve").field("disable_hot_restart", true);
  json.field("service_node", options_.service_node)
      .field("service_cluster", options_.service_cluster);
  json.field("service_zone", options_.service_zone);
}

void Server::write_node(JsonWriter& json) const {
  const BootstrapConfig& config = snapshot_->bootstrap;
  if (config.node != nullptr) return admin::write_redacted_fields(json, *config.node);
  json.field("id", config.node_id).field("cluster", config.node_cluster);
}

std::vector<std::string> Server::cluster_names() const {
  std::vector<std::string> names;
  for (const auto& cluster : snapshot_->clusters) names.push_back(cluster->name.str());
  return names;
}

bool Server::cluster(std::string_view name, admin::ClusterStatus& out) const {
  const std::shared_ptr<const upstream::ClusterConfig> found = snapshot_->clusters.find(name);
  if (found == nullptr) return false;
  const upstream::ClusterConfig& config = *found;
  out.name = config.name;
  out.observability_name = config.stat_name;
  out.eds_service_name = config.eds_name == config.name ? std::string() : config.eds_name.str();
  out.added_via_api = snapshot_->resources->clusters.contains(name);
  out.default_priority = breaker_of(config.pool->limits);
  const upstream::HostSetPtr hosts = discovery_.hosts(config);
  const discovery::ClusterHealth* health = discovery_.health(config.name);
  if (discovery::OutlierRates rates; health != nullptr && health->rates(rates)) {
    out.outlier = {rates.external.average, rates.external.threshold, rates.local.average,
                   rates.local.threshold};
  }
  if (hosts == nullptr) return true;
  for (const upstream::HostInfoPtr& host : hosts->hosts) {
    admin::HostStatus status;
    status.address = host->address;
    status.hostname = host->hostname();
    status.weight = host->weight;
    status.priority = host->priority;
    const upstream::HostStats::Totals totals = host->stats.sum();
    status.cx_total = totals.cx_total;
    status.cx_connect_fail = totals.cx_connect_fail;
    status.cx_active = static_cast<uint64_t>(std::max<int64_t>(totals.cx_active, 0));
    status.rq_total = totals.rq_total;
    status.rq_success = totals.rq_success;
    status.rq_error = totals.rq_error;
    status.rq_timeout = totals.rq_timeout;
    status.rq_active = static_cast<uint64_t>(std::max<int64_t>(totals.rq_active, 0));
    status.failed_eds_health = !host->is_healthy() && !host->is_degraded();
    status.eds_degraded = host->is_degraded();
    if (health != nullptr) add_verdict(health->verdict(host->id), status);
    if (host->locality() != nullptr) {
      status.region = host->locality()->region;
      status.zone = host->locality()->zone;
      status.sub_zone = host->locality()->sub_zone;
    }
    out.hosts.push_back(std::move(status));
  }
  return true;
}

std::vector<admin::ListenerStatus> Server::listeners() const {
  std::vector<admin::ListenerStatus> out;
  for (const auto& listener : snapshot_->listeners) {
    const BoundListeners::Bound* bound = bound_.find(listener->name);
    if (bound != nullptr) out.push_back({listener->name, bound->addresses});
  }
  return out;
}

std::vector<admin::CertificatesStatus> Server::certificates() const {
  std::vector<admin::CertificatesStatus> out;
  for (const auto& slot : snapshot_->tls_slots) {
    const std::shared_ptr<const tls::Context> context = slot->current();
    if (context == nullptr) continue;  // its secrets have not arrived
    admin::CertificatesStatus status;
    for (const tls::CertificateInfo& ca : context->verifier().trusted()) {
      status.ca_cert.push_back(status_of(ca, context->verifier().trusted_source()));
    }
    for (const tls::Context::Identity& identity : context->identities()) {
      for (const tls::CertificateInfo& info : identity.chain)
        status.cert_chain.push_back(status_of(info, identity.source));
    }
    out.push_back(std::move(status));
  }
  return out;
}

std::optional<admin::ConfigFailure> Server::last_failed_reload() const { return last_failure_; }

config::UnknownFieldMap Server::unknown_fields() const {
  config::UnknownFieldMap fields = snapshot_->unknown_fields;
  config::add_unknown_fields(fields, unknown_fields_.all());
  return fields;
}

std::vector<std::pair<std::string, std::string>> Server::loggers() const { return log::levels(); }

// ---- ServerActions ----

bool Server::set_log_level(std::string_view logger, std::string_view level) {
  return static_cast<bool>(log::set_level(logger, level));
}

void Server::fail_health_check(bool fail) {
  health_check_failed_ = fail;
  for (const auto& worker : workers_)
    worker->post([fail](Worker& w) { w.fail_health_checks(fail); });
}

void Server::drain_listeners(const admin::DrainRequest& request) {
  log::info(log::kMain, "draining listeners",
            {{"inbound_only", request.inbound_only}, {"graceful", request.graceful}});
  draining_ = true;
  const bool inbound_only = request.inbound_only;
  if (!request.graceful) {
    return stop_listeners(inbound_only ? StoppedListeners::kInbound : StoppedListeners::kAll);
  }
  for (const auto& worker : workers_)
    worker->post([is_gradual = is_drain_gradual()](Worker& w) { w.announce_drain(is_gradual); });
  if (request.skip_exit) return;
  drain_inbound_only_ = inbound_only;
  loop_.arm(drain_timer_, options_.drain_time);
}

void Server::end_drain() {
  log::debug(log::kMain, "the drain time is over: listeners close",
             {{"inbound_only", drain_inbound_only_}});
  stop_listeners(drain_inbound_only_ ? StoppedListeners::kInbound : StoppedListeners::kAll);
}

}  // namespace pillion
