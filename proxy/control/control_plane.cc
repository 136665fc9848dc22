#include "proxy/control/control_plane.h"

#include <algorithm>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/base/slice.h"
#include "proxy/base/str.h"
#include "proxy/builder/settle.h"
#include "proxy/builder/virtual_hosts.h"
#include "proxy/config/suggest.h"

namespace pillion {
namespace {

using xds::ResourceType;

// How long routes wait for clusters of which a refusal was held back: longer than until it is told
// (AdsClient::release), and there and back.
constexpr Duration kPostponeTime = std::chrono::milliseconds(1200);

bool may_precede(const xds::Response& clusters) {
  return clusters.type == ResourceType::kClusters || clusters.type == ResourceType::kRuntime;
}

// A server takes a stream before it says that it has no such service: one is told of that stays.
constexpr Duration kStayTime = std::chrono::seconds(1);

constexpr size_t kNamesInOneGo = 64;

// When what is due is tried again after a build that was refused.
constexpr Duration kRetry = std::chrono::seconds(1);

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
  if (take == Take::kResponsesToo) job.responses = take_waiting();
  job.has_ads = config_.has_ads;
  job.given_up_virtual_hosts = given_up_virtual_hosts_;
  job.demanded_routes = requests_.tables();
  job.dropped_virtual_hosts = dropping_hosts_ = std::exchange(dropped_hosts_, {});
  if (!job.responses.empty()) build_began_ = context_.loop.now();
  for (xds::Response& response : job.responses) {
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
  const auto clusters = std::ranges::find(result.answers, ResourceType::kClusters, &Answer::type);
  if (clusters != result.answers.end()) on_clusters_judged(!clusters->wrong.empty());
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
  touched_endpoints_.merge(endpoint_needs_.use(before, now));
  follow_endpoints();
  if (touches_scopes(before, now)) {
    wanted_scopes_ = wanted_scopes(now);
    scope_stats_.keep(now);
    if (has_phase_of_routes) subscribe_scopes();
  }
  if (touches_extensions(before, now)) {
    extensions_.use(now);
    if (has_phase_of_routes) sources_.subscribe(ResourceType::kExtensions, extensions_.wanted());
  }
  const Names routes = route_needs_.use(before, now);
  if (!routes.empty()) {
    want_routes(now, routes);
    if (has_phase_of_routes) sources_.change(ResourceType::kRoutes, routes, wanted_routes_);
    drop_unnamed_tables(now, routes);
  }
  update_vhds(before, now, routes);
}

// Some in each turn: a first load has ten thousand.  By the state of the world each request says
// all names, and is answered by all that the server has of them: there is one, at the end.
void ControlPlane::follow_endpoints() {
  if (touched_endpoints_.empty()) return;
  const Slice slice;
  do {
    Names some;
    while (!touched_endpoints_.empty() && some.size() < kNamesInOneGo)
      some.insert(some.end(), touched_endpoints_.extract(touched_endpoints_.begin()));
    assignments_.change(some, endpoint_needs_.wanted(*resources_, some),
                        endpoint_needs_.users(*resources_, some));
    untold_endpoints_.merge(some);
  } while (!touched_endpoints_.empty() && !slice.is_over());
  const bool is_over = touched_endpoints_.empty();
  if (!is_over) context_.loop.post_next(follow_endpoints_);
  if (!is_over && config_.ads.protocol != xds::Protocol::kDelta) return;
  const Names told = std::exchange(untold_endpoints_, {});
  if (phase_ != Phase::kRuntime && !told.empty())
    sources_.change(ResourceType::kEndpoints, told, assignments_.wanted());
}

void ControlPlane::want_routes(const Resources& resources, const Names& touched) {
  WantedNames now = route_needs_.wanted(resources, touched);
  for (const std::string& name : touched) {
    if (now.contains(name)) continue;
    wanted_routes_.erase(name);
    given_up_routes_.erase(name);
  }
  for (auto& [name, wanted] : now) wanted_routes_.insert_or_assign(name, std::move(wanted));
  route_stats_.change(touched, route_needs_.users(resources, touched),
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
  sources_.subscribe(ResourceType::kVirtualHosts, hosts_.wanted());
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
  note_heard(response);
  if (postpone(response)) return;
  waiting_.push_back(std::move(response));
  host_.on_resources_wait();
}

// A server that goes on while the refusal of its clusters is held back says the new ones when it is
// told; what it says of routes meanwhile would come before them.
bool ControlPlane::postpone(xds::Response& response) {
  if (response.type == ResourceType::kClusters) before_clusters_ = postponed_.size();
  if (may_precede(response)) return false;
  const bool is_held = sources_.release(ResourceType::kClusters);
  if (!is_held && postponed_.empty()) return false;
  if (postponed_.empty()) context_.loop.arm(postpone_timer_, kPostponeTime);
  postponed_.push_back(std::move(response));
  return true;
}

// For the builder.  Where the last clusters were refused these may be the same again: nothing that
// has come behind them, until they are judged.
std::vector<xds::Response> ControlPlane::take_waiting() {
  std::vector<xds::Response> all = std::exchange(waiting_, {});
  if (!are_clusters_refused_) return all;
  const auto clusters = std::ranges::find(all, ResourceType::kClusters, &xds::Response::type);
  if (clusters == all.end()) return all;
  waiting_.assign(std::move_iterator(clusters + 1), std::move_iterator(all.end()));
  all.erase(clusters + 1, all.end());
  return all;
}

// What waited for this word about clusters waits no more.  What came beside it may belong to the
// next one, which comes when the server is told that this one is refused.
void ControlPlane::on_clusters_judged(bool is_refused) {
  are_clusters_refused_ = is_refused;
  const bool is_held = is_refused && sources_.release(ResourceType::kClusters);
  const size_t due = is_held ? std::exchange(before_clusters_, 0) : postponed_.size();
  const auto end = postponed_.begin() + static_cast<ptrdiff_t>(due);
  std::vector<xds::Response> ready(std::move_iterator(postponed_.begin()), std::move_iterator(end));
  postponed_.erase(postponed_.begin(), end);
  for (xds::Response& response : std::exchange(waiting_, {})) {
    const bool waits_on = is_held && !may_precede(response);
    (waits_on ? postponed_ : ready).push_back(std::move(response));
  }
  waiting_ = std::move(ready);
  postpone_timer_.cancel();
  if (!postponed_.empty()) context_.loop.arm(postpone_timer_, kPostponeTime);
  if (!waiting_.empty()) host_.on_resources_wait();
}

void ControlPlane::take_postponed() {
  before_clusters_ = 0;
  if (postponed_.empty()) return;
  for (xds::Response& response : std::exchange(postponed_, {}))
    waiting_.push_back(std::move(response));
  host_.on_resources_wait();
}

void ControlPlane::on_connected(bool connected, std::string_view cluster, std::string_view text) {
  stats_->connected_state.set(sources_.is_connected());
  peer_text_ = text;
  if (connected && text.empty()) {
    if (untold_streams_.empty()) context_.loop.arm(stay_timer_, kStayTime);
    untold_streams_.emplace(cluster);
    return;
  }
  if (const auto it = untold_streams_.find(cluster); it != untold_streams_.end())
    untold_streams_.erase(it);
  if (untold_streams_.empty()) stay_timer_.cancel();
  if (connected)
    log::info(log::kConfig, "the control plane answers",
              {{"cluster", cluster}, {"identifier", config::printable(text)}});
}

void ControlPlane::tell_streams() {
  for (const std::string& cluster : std::exchange(untold_streams_, {}))
    log::info(log::kConfig, "there is a stream to the control plane", {{"cluster", cluster}});
}

void ControlPlane::take_secrets(const xds::Response& response) {
  for (const xds::Resource& resource : response.resources)
    sources_.answered(response.type, resource.name);
  const certs::AdsSecrets::Taken taken = context_.secrets->take(response);
  answer(response.source, response.type, taken.wrong,
         taken.refused.empty() ? nullptr : &taken.refused);
}

// They all come by the aggregated stream.
void ControlPlane::change_secrets(const certs::AdsSecrets::Names& come, const Names& gone) {
  Names touched = gone;
  for (const std::string& name : gone) wanted_secrets_.erase(name);
  for (const auto& [name, timeout] : come) {
    wanted_secrets_[name].timeout = timeout;
    touched.insert(name);
  }
  sources_.change(ResourceType::kSecrets, touched, wanted_secrets_);
}

void ControlPlane::on_assignments_taken(uint32_t source, const std::string& wrong,
                                        const std::set<std::string>& refused, bool has_settled) {
  if (has_settled) host_.on_resources_wait();
  answer(source, ResourceType::kEndpoints, wrong, refused.empty() ? nullptr : &refused);
}

}  // namespace pillion
