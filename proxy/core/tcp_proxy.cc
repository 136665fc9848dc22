#include "proxy/core/tcp_proxy.h"

#include <utility>

#include "proxy/base/assert.h"
#include "proxy/base/response_flags.h"

namespace pillion::core {

using CloseMode = io::Transport::CloseMode;

// Idle ones are many (tests/perf/connection_memory_test.cc).
static_assert(sizeof(TcpProxy) <= 320);

TcpProxy::TcpProxy(WorkerContext& worker, ConnectionOwner& owner, Ref<ChainLine> line,
                   const ConnectionInfo& info)
    : Connection(owner, std::move(line), info), worker_(worker), state_(line_->newest) {
  line_->tcp->downstream_cx_total.inc();
}

TcpProxy::~TcpProxy() { DASSERT(ended_); }

void TcpProxy::start(std::unique_ptr<io::Transport> transport) {
  downstream_ = std::move(transport);
  const bool plain = !line_->is_tls();
  downstream_->start(*this);
  if (config().max_connection_duration != Duration{}) {
    duration_timer_ =
        std::make_unique<io::Timer>(io::Timer::call<&TcpProxy::on_duration, TcpProxy>(), this);
    worker_.loop.arm(*duration_timer_, config().max_connection_duration);
  }
  if (plain) return begin();
  if (downstream_->identity() != nullptr) return on_connected();  // a guard has waited for it
  worker_.loop.arm(timer_, handshake_limit());
}

void TcpProxy::on_connected() {
  info_.identity = downstream_->identity();
  timer_.cancel();
  begin();
}

void TcpProxy::begin() {
  connected_ = true;
  // Nothing is read until there is somewhere to send it; a reset is still noticed.
  downstream_->pause(io::PauseReason::kBusy);
  downstream_->watch();
  if (!choose_cluster()) return end({FailureKind::kNoCluster}, CloseMode::kOrderly);
  connect();
}

bool TcpProxy::choose_cluster() {
  const WeightedTarget* target = &config().targets.front();
  if (config().targets.size() > 1) {
    uint64_t ticket = worker_.rng.below(config().total_weight);
    for (const WeightedTarget& t : config().targets) {
      target = &t;
      if (ticket < t.weight) break;
      ticket -= t.weight;
    }
  }
  upstream::Cluster* cluster = worker_.clusters.find(target->cluster);
  if (cluster == nullptr) {
    line_->tcp->downstream_cx_no_route.inc();
    return false;
  }
  cluster_ = Ref(cluster);
  return true;
}

void TcpProxy::connect() {
  upstream::PickContext context;
  context.exclude = upstream_ ? &upstream_->host() : nullptr;
  context.original_destination = &info_.local;
  context.own_addresses = worker_.own_addresses;
  Failure failure;
  upstream::Host* host = cluster_->pick(context, &failure);
  if (host == nullptr) return end(failure, CloseMode::kOrderly);
  ++attempts_;
  if (upstream_) worker_.loop.delete_later(std::move(upstream_));
  upstream_ = std::make_unique<upstream::TcpConnection>(
      worker_.loop, *cluster_, *host, static_cast<upstream::TcpConnection::Owner&>(*this));
  if (!upstream_->open()) end({FailureKind::kOverflow}, CloseMode::kOrderly);
}

void TcpProxy::on_tcp_failed(Failure failure) {
  if (ended_) return;
  if (attempts_ < config().max_connect_attempts) return connect();
  cluster_->stats().upstream_cx_connect_attempts_exceeded.inc();
  end(failure, CloseMode::kOrderly);
}

void TcpProxy::on_tcp_connected() {
  connected_at_ = worker_.loop.now();
  relay_ = std::make_unique<TcpRelay>(worker_.batch, static_cast<TcpRelay::Observer&>(*this));
  touch();
  relay_->start(*downstream_, upstream_->transport(), {});
  if (!ended_) downstream_->resume(io::PauseReason::kBusy);
}

void TcpProxy::on_relayed(TcpRelay::Side from, size_t bytes) {
  stats::TcpStats& stats = *line_->tcp;
  if (from == TcpRelay::Side::kDownstream) {
    received_ += bytes;
    stats.downstream_cx_rx_bytes_total.add(bytes);
    upstream_->count_bytes(0, bytes);
  } else {
    sent_ += bytes;
    stats.downstream_cx_tx_bytes_total.add(bytes);
    upstream_->count_bytes(bytes, 0);
  }
  touch();
}

// One side broke: the other learns of it by a reset too, or it would take what it has for all.
void TcpProxy::on_relay_done(TcpRelay::Side side, Failure failure) {
  if (!failure) return end({}, CloseMode::kOrderly);
  if (side == TcpRelay::Side::kUpstream) {
    failure.kind = failure.kind == FailureKind::kPeerGone ? FailureKind::kPeerGone
                                                          : FailureKind::kUpstreamReset;
  }
  end(failure, CloseMode::kReset);
}

void TcpProxy::close(Failure failure) { end(failure, CloseMode::kOrderly); }

// The one place where it ends.
void TcpProxy::end(Failure failure, CloseMode mode) {
  if (ended_) return;
  ended_ = true;
  failure_ = failure;
  timer_.cancel();
  duration_timer_.reset();
  if (failure.kind == FailureKind::kDraining) line_->tcp->downstream_cx_drain_close.inc();
  if (relay_) relay_->stop();
  const bool by_upstream = failure.kind == FailureKind::kUpstreamReset || !failure;
  if (upstream_) upstream_->close(mode, by_upstream);
  log();
  owner_.on_connection_closed(*this, failure);
  downstream_->close(mode);
  worker_.loop.delete_later(std::move(downstream_));
  if (upstream_) worker_.loop.delete_later(std::move(upstream_));
}

void TcpProxy::touch() {
  if (config().idle_timeout != Duration{}) worker_.loop.arm(timer_, config().idle_timeout);
}

void TcpProxy::on_timer() {
  if (!connected_) {
    owner_.on_handshake_timeout();
    return end({FailureKind::kHandshakeTimeout}, CloseMode::kOrderly);
  }
  line_->tcp->idle_timeout.inc();
  end({FailureKind::kIdleTimeout}, CloseMode::kOrderly);
}

void TcpProxy::on_duration() {
  line_->tcp->max_downstream_connection_duration.inc();
  end({FailureKind::kMaxConnectionDuration}, CloseMode::kOrderly);
}

void TcpProxy::describe(StreamInfo& info) const {
  info.connection = &info_;
  info.failure = failure_;
  info.flags = flag_bit(failure_);
  info.bytes_received = info.downstream_wire_received = received_;
  info.bytes_sent = info.downstream_wire_sent = sent_;
  info.downstream_transport_failure = downstream_->failure_reason();
  info.upstream_wire_sent = received_;
  info.upstream_wire_received = sent_;
  info.upstream.attempts = attempts_;
  if (cluster_) info.upstream.cluster = cluster_->config().name;
  if (upstream_) {
    info.upstream.remote = upstream_->host().address();
    info.upstream.host_name = upstream_->host().hostname();
    info.upstream.transport_failure = upstream_->failure_reason();
  }
  info.times.ds_rx_begin = info_.begin;
  info.times.us_cx_end = connected_at_;
  info.times.end = worker_.loop.now();
}

void TcpProxy::log() const {
  if (config().access_logs.empty()) return;
  StreamInfo info;
  describe(info);
  for (const auto& log : config().access_logs) log->log(info);
}

}  // namespace pillion::core
