#include "proxy/control_plane.h"

#include <functional>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "proxy/upstream/parse.h"
#include "xds/reflect.h"

namespace pillion {
namespace {

using xds::ResourceType;

// How long assignments are taken in one go, on the loop that does everything else too.
constexpr Duration kSlice = std::chrono::milliseconds(2);

uint64_t hash_of(std::string_view text) { return std::hash<std::string_view>{}(text); }

void log_refusal(ResourceType type, std::string_view reason) {
  log::error(log::kConfig, "refused a part of what the control plane sent",
             {{"type", xds::short_name(type)}, {"reason", reason}});
}

}  // namespace

ControlPlane::ControlPlane(const Context& context, const DynamicConfig& config,
                           ControlPlaneHost& host)
    : context_(context),
      config_(config),
      host_(host),
      ads_(context.loop, context.rng, context.clusters, *this, config.ads),
      stats_(context.registry.block<stats::ControlPlaneStats>(stats::kControl)),
      server_stats_(context.registry.block<stats::ServerStats>(stats::kControl)),
      cds_stats_(context.registry.block<stats::CdsStats>(stats::kControl)),
      lds_stats_(context.registry.block<stats::LdsStats>(stats::kControl)) {
  context_.registry.on_scrape([this] { update_stats(); });
}

void ControlPlane::start(const Snapshot& snapshot) {
  log::info(log::kConfig, "asking the control plane",
            {{"cluster", config_.ads.cluster},
             {"clusters", config_.cds_timeout.has_value()},
             {"listeners", config_.lds_timeout.has_value()}});
  ads_.start();
  if (context_.secrets != nullptr) context_.secrets->set_subscriber(*this);
  has_clusters_ = !config_.cds_timeout;
  has_listeners_ = !config_.lds_timeout;
  if (config_.cds_timeout) ads_.subscribe_all(ResourceType::kClusters, *config_.cds_timeout);
  update_subscriptions(snapshot.resources);
  advance();
}

// ---- the builder ----

void ControlPlane::add_to(BuildJob& job, Take take) {
  if (take == Take::kResponsesToo) job.responses = std::exchange(waiting_, {});
  for (const xds::Response& response : job.responses) {
    if (response.type != ResourceType::kRoutes) continue;
    routes_version_ = response.version;
    for (const xds::Resource& resource : response.resources) routes_.push_back(resource.name);
  }
  job.endpoints = settled_;
  job.given_up_routes = given_up_routes_;
}

void ControlPlane::on_built(const BuildResult& result, const Snapshot& snapshot) {
  const bool gave_up = look_at_routes(*snapshot.resources);
  for (const auto& [type, wrong] : result.answers) {
    has_clusters_ |= type == ResourceType::kClusters;
    has_listeners_ |= type == ResourceType::kListeners;
  }
  // Names first, so that they ride on the answers.
  update_subscriptions(snapshot.resources);
  for (const auto& [type, wrong] : result.answers) {
    if (wrong.empty()) {
      ads_.accept(type);
    } else {
      log_refusal(type, wrong);
      ads_.reject(type, wrong);
    }
  }
  if (snapshot.resources->next_deadline != Instant{})
    context_.loop.arm_at(linger_timer_, snapshot.resources->next_deadline);
  advance();
  if (gave_up) host_.on_resources_wait();
}

// What became of each table of the response that was built; true if one need not be waited for any
// more.
bool ControlPlane::look_at_routes(const Resources& resources) {
  bool gave_up = false;
  for (const std::string& name : std::exchange(routes_, {})) {
    const auto it = resources.routes.find(name);
    if (it == resources.routes.end()) continue;
    const Piece<CompiledRoutes>& piece = it->second;
    const bool is_good = !piece.error;
    if (is_good) {
      route_stats_.on_success(name, routes_version_, piece.bytes_hash);
    } else {
      route_stats_.on_rejected(name);
    }
    const bool goes_without = piece.newest == nullptr && may_go_without();
    if (goes_without) gave_up |= given_up_routes_.insert(name).second;
    if (is_good || goes_without) ads_.answered(ResourceType::kRoutes, name);
  }
  return gave_up;
}

// What is asked for follows what differs from the resources of before: with ten thousand clusters
// nothing here may look at all of them for each change.
void ControlPlane::update_subscriptions(const std::shared_ptr<const Resources>& resources) {
  static const Resources kNone;
  count_failures();
  warming_clusters_ = resources->warming_clusters;
  warming_listeners_ = resources->warming_listeners;
  const std::shared_ptr<const Resources> former = std::exchange(resources_, resources);
  const Resources& before = former == nullptr ? kNone : *former;
  const Names endpoints = touched_endpoints(before, *resources);
  const Names routes = touched_routes(before, *resources);
  if (!endpoints.empty()) want_endpoints(*resources, endpoints);
  if (!routes.empty()) want_routes(*resources, routes);
}

void ControlPlane::want_endpoints(const Resources& resources, const Names& touched) {
  std::map<std::string, Duration> now = wanted_endpoints(resources, &touched);
  for (const std::string& name : touched) {
    if (now.contains(name)) continue;
    wanted_endpoints_.erase(name);
    has_dropped_endpoints_ |= settled_.erase(name);
    assignments_.erase(name);
  }
  for (const auto& [name, timeout] : now) wanted_endpoints_[name] = timeout;
  ads_.subscribe(ResourceType::kEndpoints, wanted_endpoints_);
  endpoint_stats_.change(touched, endpoint_users(resources, &touched),
                         [this](std::string_view, std::string_view user) {
                           return context_.registry.block<stats::ClusterInfoStats>(stats::kControl,
                                                                                   user);
                         });
}

void ControlPlane::want_routes(const Resources& resources, const Names& touched) {
  std::map<std::string, Duration> now = wanted_routes(resources, &touched);
  for (const std::string& name : touched) {
    if (now.contains(name)) continue;
    wanted_routes_.erase(name);
    given_up_routes_.erase(name);
  }
  for (const auto& [name, timeout] : now) wanted_routes_[name] = timeout;
  if (phase_ != Phase::kClusters) ads_.subscribe(ResourceType::kRoutes, wanted_routes_);
  route_stats_.change(touched, route_users(resources, &touched),
                      [this](std::string_view name, std::string_view user) {
                        return context_.registry.block<stats::RdsStats>(stats::kControl, user,
                                                                        name);
                      });
}

void ControlPlane::advance() {
  if (phase_ == Phase::kClusters && has_clusters_ && warming_clusters_ == 0) {
    phase_ = Phase::kListeners;
    if (config_.lds_timeout) ads_.subscribe_all(ResourceType::kListeners, *config_.lds_timeout);
    ads_.subscribe(ResourceType::kRoutes, wanted_routes_);
  }
  if (phase_ == Phase::kListeners && has_listeners_ && warming_listeners_ == 0) {
    phase_ = Phase::kRunning;
    host_.on_initialized();
  }
}

// ---- the stream ----

void ControlPlane::on_resources(xds::Response&& response) {
  log::debug(log::kConfig, "the control plane says",
             {{"type", xds::short_name(response.type)},
              {"version", config::printable(response.version)},
              {"resources", response.resources.size()}});
  if (response.type == ResourceType::kSecrets) return take_secrets(response);
  if (!response.wrong.empty()) refuse_all(response.type);
  if (response.type != ResourceType::kEndpoints) {
    waiting_.push_back(std::move(response));
    return host_.on_resources_wait();
  }
  endpoints_ = std::move(response);
  next_ = 0;
  wrong_ = endpoints_.wrong;
  has_settled_ = !wrong_.empty() && may_go_without();
  run_ready();
}

void ControlPlane::on_fetch_timeout(ResourceType type, const std::set<std::string>& names) {
  switch (type) {
    case ResourceType::kClusters:
      cds_stats_->init_fetch_timeout.inc();
      has_clusters_ = true;
      return advance();
    case ResourceType::kListeners:
      lds_stats_->init_fetch_timeout.inc();
      has_listeners_ = true;
      return advance();
    case ResourceType::kEndpoints:
      for (const std::string& name : names) {
        settled_.insert(name);
        endpoint_stats_.on_fetch_timeout(name);
      }
      break;
    case ResourceType::kSecrets:
      return context_.secrets->on_fetch_timeout(names);
    case ResourceType::kRoutes:
      given_up_routes_.insert(names.begin(), names.end());
      for (const std::string& name : names) route_stats_.on_fetch_timeout(name);
      break;
    default:  // nobody asks for others
      break;
  }
  host_.on_resources_wait();
}

// All of a response is refused.
void ControlPlane::refuse_all(ResourceType type) {
  const auto refuse = [&](const auto& wanted, auto& given_up, auto& stats) {
    for (const auto& [name, timeout] : wanted) {
      stats.on_rejected(name);
      if (!may_go_without()) continue;
      given_up.insert(name);
      ads_.answered(type, name);
    }
  };
  if (type == ResourceType::kEndpoints) refuse(wanted_endpoints_, settled_, endpoint_stats_);
  if (type == ResourceType::kRoutes) refuse(wanted_routes_, given_up_routes_, route_stats_);
}

void ControlPlane::on_connected(bool connected, std::string_view text) {
  stats_->connected_state.set(connected);
  if (connected)
    log::info(log::kConfig, "the control plane answers",
              {{"cluster", config_.ads.cluster}, {"identifier", config::printable(text)}});
}

void ControlPlane::take_secrets(const xds::Response& response) {
  for (const xds::Resource& resource : response.resources)
    ads_.answered(response.type, resource.name);
  const std::string wrong = context_.secrets->take(response);
  if (wrong.empty()) return ads_.accept(response.type);
  log_refusal(response.type, wrong);
  ads_.reject(response.type, wrong);
}

// ---- endpoints ----

// A portion of the response; the rest in the next turn.
void ControlPlane::run_ready() {
  const Instant end = MonotonicClock::now() + kSlice;
  while (next_ < endpoints_.resources.size()) {
    if (MonotonicClock::now() >= end) return context_.loop.post_next(*this);
    wrong_ += take_assignment(endpoints_.resources[next_++]);
  }
  endpoints_ = {};
  // One build for all of them.
  if (std::exchange(has_settled_, false)) host_.on_resources_wait();
  if (wrong_.empty()) return ads_.accept(ResourceType::kEndpoints);
  log_refusal(ResourceType::kEndpoints, wrong_);
  ads_.reject(ResourceType::kEndpoints, std::exchange(wrong_, {}));
}

std::string ControlPlane::take_assignment(const xds::Resource& resource) {
  if (!wanted_endpoints_.contains(resource.name)) return {};
  const uint64_t hash = hash_of(resource.bytes);
  std::string wrong = read_assignment(resource, hash);
  if (wrong.empty()) {
    endpoint_stats_.on_success(resource.name, endpoints_.version, hash);
  } else {
    endpoint_stats_.on_rejected(resource.name);
    if (!may_go_without()) return wrong;
  }
  ads_.answered(ResourceType::kEndpoints, resource.name);
  has_settled_ |= settled_.insert(resource.name);
  return wrong;
}

std::string ControlPlane::read_assignment(const xds::Resource& resource, uint64_t hash) {
  const auto known = assignments_.find(resource.name);
  if (known != assignments_.end() && known->second.bytes_hash == hash) {
    known->second.version = endpoints_.version;
    return {};
  }
  config::Errors errors(context_.unknown_fields);
  const config::DocumentPtr document =
      xds::reflect(xds::message_of(ResourceType::kEndpoints), resource.bytes,
                   str("eds/", config::printable(resource.name)), errors);
  upstream::HostSet hosts;
  if (errors.ok()) hosts = upstream::parse_assignment(document->root(errors));
  if (const std::string warnings = errors.to_string(config::Severity::kWarning); !warnings.empty())
    log::warning(log::kConfig, "endpoints with fields that are not known", {{"reason", warnings}});
  if (!errors.ok()) return errors.to_string();
  for (const auto& [field, count] : errors.unknown_fields())
    server_stats_->dynamic_unknown_fields.add(count);
  assignments_[resource.name] = {hash, endpoints_.version, wall_now(), document};
  host_.on_endpoints(resource.name, hosts);
  return {};
}

void ControlPlane::append_endpoints(std::vector<admin::ConfigResource>& out) const {
  for (const auto& [name, assignment] : assignments_) {
    out.push_back({admin::ConfigResource::Kind::kEndpoints,
                   true,
                   name,
                   assignment.version,
                   assignment.updated,
                   assignment.document,
                   &assignment.document->root_value(),
                   {}});
  }
}

// ---- counters ----

void ControlPlane::update_stats() {
  const auto add = [this](ResourceType type, auto& block) {
    const xds::AdsCounts& now = ads_.counts(type);
    xds::AdsCounts& before = told_[static_cast<size_t>(type)];
    block.update_attempt.add(now.attempts - before.attempts);
    block.update_success.add(now.success - before.success);
    block.update_time.set(to_millis(now.success_time.time_since_epoch()));
    block.update_failure.add(now.failure - before.failure);
    block.update_rejected.add(now.rejected - before.rejected);
    block.version.set(xds::version_number(ads_.version(type)));
    before = now;
  };
  add(ResourceType::kClusters, *cds_stats_);
  add(ResourceType::kListeners, *lds_stats_);
  count_failures();
}

// For the names that there were then: before they change, and before a scrape.
void ControlPlane::count_failures() {
  const auto add = [this](ResourceType type, auto& stats) {
    const uint64_t now = ads_.counts(type).failure;
    uint64_t& before = told_[static_cast<size_t>(type)].failure;
    if (now != before) stats.on_failures(now - std::exchange(before, now));
  };
  add(ResourceType::kEndpoints, endpoint_stats_);
  add(ResourceType::kRoutes, route_stats_);
  if (context_.secrets != nullptr) add(ResourceType::kSecrets, *context_.secrets);
}

}  // namespace pillion
