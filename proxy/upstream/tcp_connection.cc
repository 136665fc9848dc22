#include "proxy/upstream/tcp_connection.h"

#include "proxy/base/assert.h"
#include "proxy/base/log.h"
#include "proxy/upstream/connect.h"

namespace pillion::upstream {

TcpConnection::TcpConnection(io::Loop& loop, Cluster& cluster, Host& host, Owner& owner)
    : loop_(loop), cluster_(Ref(&cluster)), host_(Ref(&host)), owner_(owner) {}

TcpConnection::~TcpConnection() { DASSERT(transport_ == nullptr); }

bool TcpConnection::open() {
  stats::ClusterStats& stats = cluster_->stats();
  const ClusterConfig& config = cluster_->config();
  if (!config.limits->connections.try_acquire(config.pool->limits.max_connections)) {
    stats.upstream_cx_overflow.inc();
    return false;
  }
  stats.upstream_cx_total.inc();
  stats.upstream_cx_active.inc();
  host_->counters().cx_total.inc();
  host_->counters().cx_active.inc();
  host_->on_request_start();
  began_ = loop_.now();
  attempt_ = std::make_unique<Attempt>(*this);
  loop_.arm(attempt_->timer, config.pool->connect_timeout);
  transport_ = host_->pool().make_transport();
  transport_->start(*this);
  return true;
}

void TcpConnection::on_connected() {
  connected_ = true;
  attempt_.reset();
  cluster_->stats().upstream_cx_connect_ms.record(loop_.now() - began_);
  host_->on_outcome(AttemptOutcome::kConnectedRaw);
  owner_.on_tcp_connected();
}

void TcpConnection::on_closed(Failure failure) { fail(failure); }

void TcpConnection::on_connect_timeout() {
  cluster_->stats().upstream_cx_connect_timeout.inc();
  fail({FailureKind::kConnectTimeout});
}

void TcpConnection::fail(Failure failure) {
  cluster_->stats().upstream_cx_connect_fail.inc();
  host_->on_connect_failed();
  host_->on_outcome(failure.kind == FailureKind::kConnectTimeout ? AttemptOutcome::kTimeout
                                                                 : AttemptOutcome::kFailed);
  note_failure(failure);
  close(io::Transport::CloseMode::kOrderly, failure.kind != FailureKind::kConnectTimeout);
  owner_.on_tcp_failed(failure);
}

void TcpConnection::note_failure(Failure failure) {
  attempt_->failure_reason = transport_failure_reason(*transport_, failure);
  if (!log::enabled(log::kPool, log::Level::kDebug)) return;
  log::debug(log::kPool, "connect failed",
             {{"cluster", cluster_->config().name.view()},
              {"host", host_->info().address},
              {"reason", failure_reason().empty() ? failure.row().details : failure_reason()}});
}

void TcpConnection::count_bytes(uint64_t received, uint64_t sent) {
  cluster_->stats().upstream_cx_rx_bytes_total.add(received);
  cluster_->stats().upstream_cx_tx_bytes_total.add(sent);
}

void TcpConnection::close(io::Transport::CloseMode mode, bool remote) {
  if (transport_ == nullptr) return;
  if (attempt_) attempt_->timer.cancel();
  transport_->close(mode);
  loop_.delete_later(std::move(transport_));
  cluster_->config().limits->connections.release();
  host_->on_request_end();
  stats::ClusterStats& stats = cluster_->stats();
  stats.upstream_cx_active.dec();
  host_->counters().cx_active.dec();
  stats.upstream_cx_destroy.inc();
  (remote ? stats.upstream_cx_destroy_remote : stats.upstream_cx_destroy_local).inc();
  if (connected_) stats.upstream_cx_length_ms.record(loop_.now() - began_);
}

}  // namespace pillion::upstream
