#include "proxy/core/guarded_connection.h"

#include <utility>

#include "proxy/base/assert.h"
#include "proxy/base/log.h"
#include "proxy/base/response_flags.h"

namespace pillion::core {

GuardedConnection::GuardedConnection(WorkerContext& worker, ConnectionOwner& owner,
                                     Ref<ChainLine> line, const ConnectionInfo& info,
                                     std::string_view server_name)
    : Connection(owner, std::move(line), info), worker_(worker), server_name_(server_name) {}

GuardedConnection::~GuardedConnection() { DASSERT(ended_); }

void GuardedConnection::start(std::unique_ptr<io::Transport> transport) {
  transport_ = std::move(transport);
  if (!line_->is_tls()) return judge();
  transport_->start(*this);
  worker_.loop.arm(timer_, handshake_limit());
}

void GuardedConnection::on_connected() {
  timer_.cancel();
  info_.identity = transport_->identity();
  judge();
}

void GuardedConnection::judge() {
  // The policy that holds now, not the one of the first byte.
  const Ref<ChainState> state = line_->newest;
  const std::string_view name =
      info_.identity != nullptr ? info_.identity->sni : std::string_view(server_name_);
  const auto& filters = state->chain->network_filters;
  for (size_t i = 0; i < filters.size(); ++i) {
    const NetworkVerdict verdict =
        filters[i]->on_connection({info_, name}, state->network_filters[i].get());
    if (verdict.allowed) continue;
    judge_ = state;
    return deny(verdict);
  }
  hand_over();
}

void GuardedConnection::deny(const NetworkVerdict& verdict) {
  details_ = verdict.details;
  if (verdict.lacks_config) owner_.on_filter_config_missing();
  log::debug(log::kConnHandler, "connection denied",
             {{"listener", owner_.listener_config().name},
              {"peer", info_.direct_remote()},
              {"reason", details_}});
  if (verdict.delay == Duration{}) return close({FailureKind::kConnectionDenied});
  if (!line_->is_tls()) transport_->start(*this);
  transport_->pause(io::PauseReason::kBusy);
  transport_->watch();
  worker_.loop.arm(timer_, verdict.delay);
}

void GuardedConnection::hand_over() {
  ended_ = true;
  Connection& next = owner_.serve(line_, info_);
  if (draining_) next.drain();
  owner_.on_connection_replaced(*this, next);
  next.start(std::move(transport_));
}

void GuardedConnection::close(Failure failure) {
  if (std::exchange(ended_, true)) return;
  // Who is refused and leaves before the delay is over has been refused.
  failure_ = details_.empty() ? failure : Failure{FailureKind::kConnectionDenied};
  timer_.cancel();
  log();
  owner_.on_connection_closed(*this, failure_);
  transport_->close();
  worker_.loop.delete_later(std::move(transport_));
}

void GuardedConnection::on_timer() {
  if (!details_.empty()) return close({FailureKind::kConnectionDenied});
  owner_.on_handshake_timeout();
  close({FailureKind::kHandshakeTimeout});
}

void GuardedConnection::describe(StreamInfo& info) const {
  info.connection = &info_;
  info.failure = failure_;
  info.flags = flag_bit(failure_);
  info.termination_details = details_;
  info.downstream_transport_failure = transport_->failure_reason();
  info.times.ds_rx_begin = info_.begin;
  info.times.end = worker_.loop.now();
}

// A TCP proxy has a line for each connection; a connection manager one for each request.
void GuardedConnection::log() const {
  const TcpProxyConfig* tcp = (judge_ ? judge_ : line_->newest)->tcp;
  if (tcp == nullptr || tcp->access_logs.empty()) return;
  StreamInfo info;
  describe(info);
  for (const auto& log : tcp->access_logs) log->log(info);
}

}  // namespace pillion::core
