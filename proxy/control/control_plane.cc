#include "proxy/control/control_plane.h"

#include <algorithm>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "proxy/builder/settle.h"
#include "proxy/builder/virtual_hosts.h"
#include "proxy/config/suggest.h"

namespace pillion {
namespace {

using xds::ResourceType;

// How long routes wait for clusters of which a refusal was held back.
constexpr Duration kPostponeTime = std::chrono::milliseconds(500);

// When what is due is tried again after a build that was refused.
constexpr Duration kRetry = std::chrono::seconds(1);

// A log line has an end; /config_dump tells all (error_state).
constexpr size_t kLoggedReason = 4096;

void log_refusal(ResourceType type, std::string_view reason) {
  std::string_view shown = reason.substr(0, kLoggedReason);
  if (shown.size() < reason.size()) shown = shown.substr(0, shown.rfind('\n') + 1);
  if (shown.empty()) shown = reason.substr(0, kLoggedReason);
  const auto more = static_cast<uint64_t>(std::ranges::count(reason.substr(shown.size()), '\n') +
                                          (shown.size() < reason.size()));
  log::error(log::kConfig, "refused a part of what the control plane sent",
             {{"type", xds::short_name(type)}, {"reason", shown}, {"lines_left_out", more}});
}

}  // namespace

ControlPlane::ControlPlane(const Context& context, const DynamicConfig& config,
                           ControlPlaneHost& host)
    : context_(context),
      config_(config),
      host_(host),
      sources_({context.loop, context.rng, context.clusters, context.node, context.last_good_path,
                context.owner},
               config.has_ads ? std::optional(config.ads) : std::nullopt, *this),
      extensions_(context.registry),
      assignments_({context.loop, context.registry, context.unknown_fields}, *this),
      stats_(context.registry.block<stats::ControlPlaneStats>(stats::kControl)),
      cds_stats_(context.registry.block<stats::CdsStats>(stats::kControl)),
      lds_stats_(context.registry.block<stats::LdsStats>(stats::kControl)),
      runtime_stats_(context.registry.block<stats::RuntimeStats>(stats::kControl)),
      scope_stats_(context.registry),
      host_stats_(context.registry) {
  context_.registry.on_scrape([this] { update_stats(); });
}

bool ControlPlane::is_dynamic(const Snapshot& snapshot) {
  const DynamicConfig& config = snapshot.bootstrap.dynamic;
  return config.has_ads || config.cds || config.lds ||
         !wanted_endpoints(*snapshot.resources).empty() ||
         !wanted_routes(*snapshot.resources).empty() ||
         !wanted_extensions(*snapshot.resources).empty() || wanted_scopes(*snapshot.resources) ||
         !wanted_runtime_layers(*snapshot.bootstrap.runtime_layers).empty();
}

void ControlPlane::start(const Snapshot& snapshot) {
  log::info(log::kConfig, "asking for what the file only names",
            {{"ads", config_.has_ads ? std::string_view(config_.ads.cluster) : "none"},
             {"clusters", config_.cds.has_value()},
             {"listeners", config_.lds.has_value()}});
  sources_.start();
  if (context_.secrets != nullptr) context_.secrets->set_subscriber(*this);
  has_clusters_ = !config_.cds;
  has_listeners_ = !config_.lds;
  awaited_layers_ = wanted_runtime_layers(*snapshot.bootstrap.runtime_layers);
  if (!awaited_layers_.empty()) {
    runtime_stats_->update_attempt.inc();
    sources_.subscribe(ResourceType::kRuntime, awaited_layers_);
  }
  update_subscriptions(snapshot.resources);
  advance();
}

void ControlPlane::ask_for_clusters() {
  if (config_.cds) sources_.subscribe_all(ResourceType::kClusters, *config_.cds);
  sources_.subscribe(ResourceType::kEndpoints, assignments_.wanted());
}

// ---- the builder ----

void ControlPlane::add_to(BuildJob& job, Take take) {
  if (take == Take::kResponsesToo) job.responses = std::exchange(waiting_, {});
  job.given_up_virtual_hosts = given_up_virtual_hosts_;
  job.demanded_routes = requests_.tables();
  job.dropped_virtual_hosts = dropping_hosts_ = std::exchange(dropped_hosts_, {});
  if (!job.responses.empty()) build_began_ = context_.loop.now();
  for (const xds::Response& response : job.responses) {
    if (response.type == ResourceType::kExtensions) extensions_.on_response(response);
    note_answers(response);
    if (response.type != ResourceType::kRoutes) continue;
    count_empty_routes(response);
    for (const xds::Resource& resource : response.resources)
      routes_.emplace_back(resource.name, response.version);
  }
  job.endpoints = assignments_.settled();
  job.given_up_routes = given_up_routes_;
  job.given_up_extensions = extensions_.given_up();
  job.given_up_scopes = given_up_scopes_;
}

void ControlPlane::on_built(const BuildResult& result, const Snapshot& snapshot, bool is_taken) {
  if (!is_taken) dropped_hosts_.merge(dropping_hosts_);
  const Duration took = context_.loop.now() - build_began_;
  count_built(result, *snapshot.resources, took);
  bool gave_up = look_at_routes(*snapshot.resources, took);
  gave_up |= extensions_.on_built(
      *snapshot.resources, may_go_without(), took,
      [this](const std::string& name) { sources_.answered(ResourceType::kExtensions, name); });
  look_at_runtime(snapshot);
  for (const Answer& answer : result.answers) {
    has_clusters_ |= answer.type == ResourceType::kClusters;
    has_listeners_ |= answer.type == ResourceType::kListeners;
  }
  // Names first, so that they ride on the answers.
  requests_.on_built(*snapshot.resources);
  update_subscriptions(snapshot.resources);
  for (const Answer& one : result.answers)
    answer(one.source, one.type, one.wrong, one.refused.empty() ? nullptr : &one.refused);
  // That of a snapshot that stays because the next one was refused may be over.
  if (const Instant deadline = snapshot.resources->next_deadline; deadline != Instant{})
    context_.loop.arm_at(
        linger_timer_, std::max(deadline, context_.loop.now() + (is_taken ? Duration{} : kRetry)));
  advance();
  if (gave_up) host_.on_resources_wait();
  const bool has_clusters = std::ranges::any_of(
      result.answers, [](const Answer& one) { return one.type == ResourceType::kClusters; });
  if (has_clusters) take_postponed();
}

void ControlPlane::answer(uint32_t source, ResourceType type, std::string_view wrong,
                          const std::set<std::string>* refused) {
  if (wrong.empty()) return sources_.accept(source, type);
  log_refusal(type, wrong);
  sources_.reject(source, type, wrong, refused);
}

// What became of each table of the response that was built; true if one need not be waited for any
// more.
bool ControlPlane::look_at_routes(const Resources& resources, Duration took) {
  bool gave_up = false;
  for (const auto& [name, version] : std::exchange(routes_, {})) {
    const auto it = resources.routes.find(name);
    if (it == resources.routes.end()) continue;
    const Piece<CompiledRoutes>& piece = it->second;
    const bool is_good = !piece.error;
    if (is_good) {
      route_stats_.on_success(name, version, piece.bytes_hash, took);
    } else {
      route_stats_.on_rejected(name);
    }
    const bool goes_without = piece.newest == nullptr && may_go_without();
    if (goes_without) gave_up |= given_up_routes_.insert(name).second;
    if (is_good || goes_without) sources_.answered(ResourceType::kRoutes, name);
  }
  return gave_up;
}

// What has come, be it good or bad, holds up the start no more.
void ControlPlane::look_at_runtime(const Snapshot& snapshot) {
  const auto wanted = wanted_runtime_layers(*snapshot.bootstrap.runtime_layers);
  const auto& layers = snapshot.resources->runtime_layers;
  std::erase_if(awaited_layers_, [&](const auto& item) {
    const auto it = layers.find(item.first);
    const bool has_come = it != layers.end() && (it->second.active != nullptr || it->second.error);
    return has_come || !wanted.contains(item.first);
  });
  for (const auto& [name, piece] : layers)
    if (!piece.error || may_go_without()) sources_.answered(ResourceType::kRuntime, name);
  sources_.subscribe(ResourceType::kRuntime, wanted);
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
  const Resources& now = *resources;
  const bool has_phase_of_routes = phase_ > Phase::kClusters;
  if (const Names touched = touched_endpoints(before, now); !touched.empty()) {
    assignments_.change(touched, wanted_endpoints(now, &touched), endpoint_users(now, &touched));
    if (phase_ != Phase::kRuntime)
      sources_.change(ResourceType::kEndpoints, touched, assignments_.wanted());
  }
  if (touches_scopes(before, now)) {
    wanted_scopes_ = wanted_scopes(now);
    scope_stats_.keep(now);
    if (has_phase_of_routes) subscribe_scopes();
  }
  if (touches_extensions(before, now)) {
    extensions_.use(now);
    if (has_phase_of_routes) sources_.subscribe(ResourceType::kExtensions, extensions_.wanted());
  }
  if (const Names touched = touched_routes(before, now); !touched.empty()) {
    want_routes(now, touched);
    host_stats_.keep(now);
    if (has_phase_of_routes) sources_.subscribe(ResourceType::kRoutes, wanted_routes_);
  }
  if (touches_vhds(before, now)) {
    host_stats_.keep(now);
    if (has_phase_of_routes) subscribe_virtual_hosts();
  }
}

void ControlPlane::want_routes(const Resources& resources, const Names& touched) {
  WantedNames now = wanted_routes(resources, &touched);
  for (const std::string& name : touched) {
    if (now.contains(name)) continue;
    wanted_routes_.erase(name);
    given_up_routes_.erase(name);
  }
  for (auto& [name, wanted] : now) wanted_routes_.insert_or_assign(name, std::move(wanted));
  route_stats_.change(touched, route_users(resources, &touched),
                      [this](std::string_view name, std::string_view user) {
                        return context_.registry.block<stats::RdsStats>(stats::kControl, user,
                                                                        name);
                      });
}

void ControlPlane::subscribe_scopes() {
  if (!wanted_scopes_) {
    if (std::exchange(asks_for_scopes_, false))
      sources_.unsubscribe_all(ResourceType::kScopedRoutes);
    given_up_scopes_ = false;
    return;
  }
  asks_for_scopes_ = true;
  config::ConfigSource source;
  if (wanted_scopes_->source != nullptr) source = *wanted_scopes_->source;
  source.initial_fetch_timeout = wanted_scopes_->timeout;
  sources_.subscribe_all(ResourceType::kScopedRoutes, source);
}

void ControlPlane::subscribe_routes() {
  subscribe_scopes();
  sources_.subscribe(ResourceType::kExtensions, extensions_.wanted());
  sources_.subscribe(ResourceType::kRoutes, wanted_routes_);
  subscribe_virtual_hosts();
}

void ControlPlane::advance() {
  if (phase_ == Phase::kRuntime && awaited_layers_.empty()) {
    phase_ = Phase::kClusters;
    ask_for_clusters();
  }
  if (phase_ == Phase::kClusters && has_clusters_ && warming_clusters_ == 0) {
    phase_ = Phase::kListeners;
    if (config_.lds) sources_.subscribe_all(ResourceType::kListeners, *config_.lds);
    subscribe_routes();
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
  if (response.type == ResourceType::kEndpoints) return assignments_.take(std::move(response));
  if (!response.wrong.empty()) refuse_all(response.source, response.type);
  if (postpone(response)) return;
  waiting_.push_back(std::move(response));
  host_.on_resources_wait();
}

// A server that goes on while the refusal of its clusters is held back says the new ones when it is
// told; what it says of routes meanwhile would come before them.
bool ControlPlane::postpone(xds::Response& response) {
  if (response.type == ResourceType::kClusters || response.type == ResourceType::kRuntime)
    return false;
  const bool is_held = sources_.release(ResourceType::kClusters);
  if (!is_held && postponed_.empty()) return false;
  if (postponed_.empty()) context_.loop.arm(postpone_timer_, kPostponeTime);
  postponed_.push_back(std::move(response));
  return true;
}

void ControlPlane::take_postponed() {
  postpone_timer_.cancel();
  if (postponed_.empty()) return;
  for (xds::Response& response : std::exchange(postponed_, {}))
    waiting_.push_back(std::move(response));
  host_.on_resources_wait();
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
      assignments_.on_fetch_timeout(names);
      break;
    case ResourceType::kSecrets:
      return context_.secrets->on_fetch_timeout(names);
    case ResourceType::kRoutes:
      given_up_routes_.insert(names.begin(), names.end());
      for (const std::string& name : names) {
        route_stats_.on_fetch_timeout(name);
        requests_.on_given_up(core::RouteKind::kTable, name);
      }
      break;
    case ResourceType::kVirtualHosts:
      given_up_virtual_hosts_ = true;
      if (names.contains("*")) host_stats_.on_fetch_timeout();
      for (const std::string& name : names)
        requests_.on_given_up(core::RouteKind::kVirtualHost, name);
      break;
    case ResourceType::kScopedRoutes:
      given_up_scopes_ = true;
      scope_stats_.on_fetch_timeout();
      break;
    case ResourceType::kExtensions:
      extensions_.on_fetch_timeout(names);
      break;
    case ResourceType::kRuntime:
      runtime_stats_->init_fetch_timeout.inc();
      for (const std::string& name : names) awaited_layers_.erase(name);
      return advance();
    default:  // nobody asks for others
      break;
  }
  host_.on_resources_wait();
}

// All of a response is refused.
void ControlPlane::refuse_all(uint32_t source, ResourceType type) {
  const Subscriptions::Names& names = sources_.asked(source, type);
  const auto answered = [&](const std::string& name) { sources_.answered(type, name); };
  if (type == ResourceType::kExtensions)
    extensions_.on_all_refused(names, may_go_without(), answered);
  if (type == ResourceType::kRuntime && may_go_without()) {
    for (const auto& [name, timeout] : names) {
      awaited_layers_.erase(name);
      answered(name);
    }
  }
  if (type == ResourceType::kScopedRoutes && may_go_without()) given_up_scopes_ = true;
  if (type == ResourceType::kVirtualHosts && may_go_without()) given_up_virtual_hosts_ = true;
  if (type != ResourceType::kRoutes) return;
  for (const auto& [name, timeout] : names) {
    route_stats_.on_rejected(name);
    if (!may_go_without()) continue;
    given_up_routes_.insert(name);
    answered(name);
  }
}

void ControlPlane::on_connected(bool connected, std::string_view text) {
  stats_->connected_state.set(sources_.is_connected());
  peer_text_ = text;
  if (!connected) return;
  log::info(log::kConfig,
            text.empty() ? "there is a stream to the control plane" : "the control plane answers",
            {{"cluster", config_.ads.cluster}, {"identifier", config::printable(text)}});
}

void ControlPlane::take_secrets(const xds::Response& response) {
  for (const xds::Resource& resource : response.resources)
    sources_.answered(response.type, resource.name);
  answer(response.source, response.type, context_.secrets->take(response));
}

// They all come by the aggregated stream.
void ControlPlane::subscribe_secrets(const certs::AdsSecrets::Names& names) {
  WantedNames wanted;
  for (const auto& [name, timeout] : names) wanted[name].timeout = timeout;
  sources_.subscribe(ResourceType::kSecrets, wanted);
}

void ControlPlane::on_assignments_taken(uint32_t source, const std::string& wrong,
                                        const std::set<std::string>& refused, bool has_settled) {
  if (has_settled) host_.on_resources_wait();
  answer(source, ResourceType::kEndpoints, wrong, refused.empty() ? nullptr : &refused);
}

// ---- counters ----

void ControlPlane::update_stats() {
  const auto add = [this](ResourceType type, auto& block) {
    const xds::SourceCounts now = sources_.counts(type);
    const xds::SourceCounts before = std::exchange(told_[static_cast<size_t>(type)], now);
    add_growth(block, growth(before, now), sources_.version(type));
  };
  add(ResourceType::kClusters, *cds_stats_);
  add(ResourceType::kListeners, *lds_stats_);
  add(ResourceType::kRuntime, *runtime_stats_);
  scope_stats_.update(sources_.counts(ResourceType::kScopedRoutes),
                      sources_.version(ResourceType::kScopedRoutes));
  host_stats_.update(sources_.counts(ResourceType::kVirtualHosts),
                     sources_.version(ResourceType::kVirtualHosts));
  const xds::RateCounts rates = sources_.rate_counts();
  const xds::RateCounts told = std::exchange(told_rates_, rates);
  stats_->pending_requests.set(static_cast<int64_t>(rates.pending));
  if (rates.enforced > told.enforced)
    stats_->rate_limit_enforced.add(rates.enforced - told.enforced);
  count_failures();
}

// Of types that have counters for all of it; those of single names are counted by name.
void ControlPlane::count_built(const BuildResult& result, const Resources& resources,
                               Duration took) {
  for (const Answer& one : result.answers) {
    if (one.type == ResourceType::kClusters) {
      bool is_new = false;
      const auto newest = [](const auto* piece) {
        return piece == nullptr ? nullptr : piece->newest.get();
      };
      diff(resources_ == nullptr ? Pieces<CompiledCluster>() : resources_->clusters,
           resources.clusters, [&](std::string_view, const auto* a, const auto* b) {
             is_new |= newest(a) != newest(b);
           });
      if (is_new) cds_stats_->config_reload.inc();
      if (is_new) cds_stats_->config_reload_time_ms.set(to_millis(wall_now().time_since_epoch()));
    }
    if (!one.wrong.empty()) continue;
    if (one.type == ResourceType::kClusters) cds_stats_->update_duration.record(took);
    if (one.type == ResourceType::kListeners) lds_stats_->update_duration.record(took);
    if (one.type == ResourceType::kRuntime) runtime_stats_->update_duration.record(took);
    if (one.type == ResourceType::kScopedRoutes) scope_stats_.on_taken(resources, took);
    if (one.type == ResourceType::kVirtualHosts) host_stats_.on_taken(resources, took);
  }
}

// An answer without the tables that it is about.
void ControlPlane::count_empty_routes(const xds::Response& response) {
  if (!response.wrong.empty()) return;
  for (const std::string& name : response.removed) route_stats_.on_empty(name);
  if (response.is_delta || !response.resources.empty() || !response.unchanged.empty()) return;
  for (const auto& [name, timeout] : sources_.asked(response.source, ResourceType::kRoutes))
    route_stats_.on_empty(name);
}

// For the names that there were then: before they change, and before a scrape.
void ControlPlane::count_failures() {
  sources_.take_failures(ResourceType::kEndpoints, [this](const std::string& name, uint64_t times) {
    assignments_.on_failures(name, times);
  });
  sources_.take_failures(ResourceType::kRoutes, [this](const std::string& name, uint64_t times) {
    route_stats_.on_failures(name, times);
  });
  sources_.take_failures(
      ResourceType::kExtensions,
      [this](const std::string& name, uint64_t times) { extensions_.on_failures(name, times); });
  if (context_.secrets == nullptr) return;
  sources_.take_failures(ResourceType::kSecrets, [this](const std::string& name, uint64_t times) {
    context_.secrets->on_failures(name, times);
  });
}

}  // namespace pillion
