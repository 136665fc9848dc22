// What a stream does with its route: choosing it, what it changes in the heads, and the counters
// and log lines that tell of the outcome.
#include "proxy/base/number_text.h"
#include "proxy/base/response_flags.h"
#include "proxy/base/str.h"
#include "proxy/core/request_headers.h"
#include "proxy/core/stream.h"
#include "proxy/http/grpc.h"

namespace pillion::core {

using http::HeaderId;

// `config`: its own, or a newer one.
void Stream::choose_route(const HcmConfig& config) {
  const route::RouteTable* table = config.table_of(request_);
  route_ = {};
  if (table != nullptr)
    route_ = table->match(request_, worker_.rng.next(), request_.scheme == "https");
  if (!route_) return;
  info_.virtual_host = route_.host->name;
  info_.route_name = route_.route->name;
}

// False: the route has answered, or there is none.
bool Stream::use_route() {
  stats::HttpStats& stats = owner_.http_stats();
  stats.rq_total.inc();
  if (!route_) {
    stats.no_route.inc();
    fail({FailureKind::kNoRoute});
    return false;
  }
  switch (route_.route->kind) {
    case route::Route::Kind::kRedirect:
      stats.rq_redirect.inc();
      stats.rq_direct_response.inc();  // Envoy counts both there
      send_redirect();
      return false;
    case route::Route::Kind::kDirectResponse:
      stats.rq_direct_response.inc();
      send_direct_response();
      return false;
    case route::Route::Kind::kForward:
      break;
  }
  return use_forward_route(*route_.route->forward);
}

bool Stream::use_forward_route(const route::ForwardAction& action) {
  stats::HttpStats& stats = owner_.http_stats();
  upstream::Cluster* cluster = worker_.clusters.find(route::cluster_name(route_, request_));
  if (cluster == nullptr) {
    stats.no_cluster.inc();
    info_.failure = {FailureKind::kNoCluster};
    local_reply(action.cluster_not_found_status, {}, info_.failure.row().details);
    return false;
  }
  cluster_ = Ref(cluster);
  info_.upstream.cluster = arena_.copy(cluster->config().name);  // a reload may end the config
  counts_request_ = cluster->begin_request();
  if (!counts_request_) {
    fail({FailureKind::kOverflow});
    return false;
  }
  apply_route_limits(action);
  return true;
}

void Stream::apply_route_limits(const route::ForwardAction& action) {
  // Envoy's control fields of a client are never trusted here; prepare_request() removed them.
  timeouts_ = route::finalize_timeouts(action, request_.headers, {});
  if (action.retry != nullptr) use_retry_policy(*action.retry);
  if (action.idle_timeout) {
    idle_timeout_ = *action.idle_timeout;
    idle_timer_.cancel();
    touch();
  }
  if (const auto limit = route::stream_duration(action, request_.headers)) arm_duration(*limit);
  if (action.grpc_timeout_header_max) {
    const std::string_view left = route::forwarded_grpc_timeout(action, request_.headers);
    if (!left.empty()) request_.headers.set(HeaderId::kGrpcTimeout, left);
  }
}

void Stream::begin_trace() {
  info_.trace =
      config().tracer->begin({info_, request_, arena_, worker_.rng, owner_.http_stats(),
                              config().request_id_carries_reason, config().request_id_samples});
}

bool Stream::upgrade_allowed(std::string_view type) const {
  switch (route::find_upgrade(route_, type)) {
    case route::UpgradeVerdict::kAllowed:
      return true;
    case route::UpgradeVerdict::kForbidden:
      return false;
    case route::UpgradeVerdict::kUnsaid:
      break;
  }
  for (const UpgradeConfig& upgrade : config().upgrades) {
    if (equals_ignore_case(upgrade.type, type)) return upgrade.enabled;
  }
  return false;
}

void Stream::finalize_request() {
  route::remove_control_headers(request_.headers);
  route::finalize_request(route_, request_, &info_, !config().suppress_envoy_headers);
}

// Of each attempt anew: less time is left (envoy.md 2.1, rule 6).  It runs from the end of the
// request, when the timer was armed: what filters and the client took before does not count.
void Stream::announce_timeout() {
  const Instant begun = info_.times.us_tx_end;
  const Duration elapsed = begun == Instant{} ? Duration{} : worker_.loop.now() - begun;
  const auto ms = route::expected_timeout_ms(timeouts_, elapsed);
  if (!ms) return;
  if (!config().suppress_envoy_headers)
    request_.headers.set(HeaderId::kXEnvoyExpectedRqTimeoutMs, number_text(arena_, *ms));
  // Where the client's deadline is ours, the upstream has as long as the attempt.
  if (is_grpc_ && route_.route->forward->max_grpc_timeout) {
    const std::chrono::milliseconds left(*ms);
    request_.headers.set(HeaderId::kGrpcTimeout, route::grpc_timeout_text(left, arena_));
  }
}

// The client holds its body back until it is told that somebody takes it.  That is known once there
// is a connection; a request that is refused before costs no upload.
void Stream::send_continue() {
  if (!config().proxy_100_continue) invite_body();
}

void Stream::invite_body() {
  if (!request_.expects_continue || continue_sent_) return;
  continue_sent_ = true;
  request_.expects_continue = false;  // the upstream is not asked again
  auto* head = arena_.create<http::ResponseHead>(arena_);
  head->status = 100;
  downstream_->send_informational(*head);
}

void Stream::finalize_response(http::ResponseHead& head) {
  // From the end of the request, over all attempts; an answer that comes before it has none.
  if (!config().suppress_envoy_headers && info_.times.us_tx_end != Instant{}) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(info_.times.us_rx_begin -
                                                                          info_.times.us_tx_end);
    head.headers.set(HeaderId::kXEnvoyUpstreamServiceTime,
                     number_text(arena_, static_cast<uint64_t>(std::max<int64_t>(ms.count(), 0))));
  }
  if (route_.host->count_attempts_in_response) add_attempt_count(head.headers);
  route::finalize_response(route_, head, &info_);
}

void Stream::send_redirect() {
  http::Headers extra(arena_);
  extra.add(HeaderId::kLocation, route::redirect_location(route_, request_, arena_));
  local_reply(route_.route->redirect->status, {}, "direct_response", &extra);
}

// path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT.
void Stream::send_path_redirect() {
  http::Headers extra(arena_);
  extra.add(HeaderId::kLocation, request_.path);
  local_reply(307, {}, "path_normalization_failed", &extra);
}

void Stream::send_direct_response() {
  const route::DirectResponse& reply = *route_.route->direct_response;
  local_reply(reply.status, reply.body, "direct_response");
}

void Stream::count_response(uint16_t status) {
  stats::HttpStats& stats = owner_.http_stats();
  stats::ListenerHttpStats& listener = owner_.listener_http_stats();
  stats.downstream_rq_completed.inc();
  listener.downstream_rq_completed.inc();
  stats::count_downstream_class(stats, status);
  stats::count_downstream_class(listener, status);
}

// To the cluster all answers count by the status of HTTP; to the host those of gRPC calls by their
// own, which mostly comes last (as in Envoy).
void Stream::count_upstream_status(const http::ResponseHead& head, bool end) {
  stats::count_upstream_response(cluster_->stats(), head.status);
  if (!is_grpc_) return count_host_answer(head.status);
  grpc_status_due_ = !end;
  if (end) count_grpc_status(&head.headers);
}

// Null: the call ended without a status.
void Stream::count_grpc_status(const http::Headers* fields) {
  grpc_status_due_ = false;
  const auto status = fields != nullptr ? http::grpc_status(*fields) : std::nullopt;
  count_host_answer(status ? http::http_status_of_grpc(*status) : uint16_t{500});
}

void Stream::count_host_answer(uint16_t status) {
  upstream::HostCounters& host = host_->counters();
  (status >= 500 ? host.rq_error : host.rq_success).inc();
}

// To the dashboards an upstream that gives no answer gives a bad one.
void Stream::count_no_answer(Failure failure) {
  const bool was_asked = response_state_ != ResponseState::kNone;
  if (failure.kind == FailureKind::kRequestTimeoutUpstream && !was_asked) return;
  stats::count_upstream_response(cluster_->stats(), failure.row().status);
  if (was_asked && host_) host_->counters().rq_error.inc();
}

void Stream::log_access() {
  info_.flags |= flag_bit(info_.failure);
  if (response_ != nullptr && info_.response_code != 0)
    info_.response_header_bytes = static_cast<uint32_t>(response_->headers.byte_size());
  info_.downstream_wire_received = owner_.wire_bytes_received();
  info_.downstream_wire_sent = owner_.wire_bytes_sent();
  for (const auto& log : config().access_logs) log->log(info_);
}

}  // namespace pillion::core
