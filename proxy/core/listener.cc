#include "proxy/core/listener.h"

#include <cstring>
#include <utility>

#include "proxy/base/assert.h"
#include "proxy/base/log.h"
#include "proxy/core/chain_heirs.h"
#include "proxy/core/guarded_connection.h"
#include "proxy/core/http_connection.h"
#include "proxy/core/inspection.h"
#include "proxy/core/tcp_proxy.h"
#include "proxy/core/unmatched.h"
#include "proxy/io/original_dst.h"
#include "proxy/tls/context_slot.h"
#include "proxy/tls/tls_transport.h"

namespace pillion::core {
namespace {

// Connection ids are unique in the process: the worker's number is in the upper bits.
uint64_t next_connection_id(uint16_t worker) {
  thread_local uint64_t last = 0;
  return uint64_t{worker} << 48 | ++last;
}

// Of a line in update()'s hands, which hold one reference.
bool has_connections(const Ref<ChainLine>& line) noexcept { return line->ref_count() > 1; }

}  // namespace

struct Listener::InspectionList {
  IntrusiveList<Inspection> list;
};

Listener::Listener(WorkerContext& worker, ListenerOwner& owner,
                   std::shared_ptr<const ListenerConfig> config, std::span<const int> bound_fds)
    : worker_(worker),
      owner_(owner),
      config_(std::move(config)),
      stats_(worker.registry.block<stats::ListenerStats>(worker.index, config_->stat_name)),
      tls_stats_(worker.registry.block<stats::ListenerTlsStats>(worker.index, config_->stat_name)),
      tls_factory_stats_(
          worker.registry.block<stats::ListenerTlsFactoryStats>(worker.index, config_->stat_name)),
      inspections_(std::make_unique<InspectionList>()) {
  for (const int fd : bound_fds) {
    acceptors_.push_back(
        std::make_unique<io::Acceptor>(worker.loop, fd, static_cast<io::AcceptObserver&>(*this),
                                       config_->max_accepts_per_event, config_->options.backlog));
  }
  use_inspector_stats();
}

void Listener::use_inspector_stats() {
  if (config_->tls_inspector && !inspector_stats_)
    inspector_stats_ = worker_.registry.block<stats::TlsInspectorStats>(worker_.index);
}

Listener::~Listener() { DASSERT(connections_.empty() && inspections_->list.empty()); }

void Listener::update(std::shared_ptr<const ListenerConfig> config, const ChainDrains& drains) {
  config_ = std::move(config);
  use_inspector_stats();
  const Instant deadline = worker_.loop.now() + worker_.drain_time;
  const ChainHeirs heirs(*config_);
  const auto former = std::exchange(lines_, {});
  bool any_orphans = false;
  for (const auto& [chain, line] : former) {
    if (const auto* heir = heirs.of(*chain); heir != nullptr) {
      continue_line(line, *heir);
    } else if (has_connections(line)) {
      line->drain_deadline = deadline;
      if (const auto drain = drains.find(chain); drain != drains.end()) line->drain = drain->second;
      any_orphans = true;
    }
  }
  if (any_orphans) drain_orphans(deadline);
}

void Listener::continue_line(const Ref<ChainLine>& line,
                             const std::shared_ptr<const FilterChain>& heir) {
  if (const auto other = lines_.find(heir.get()); other != lines_.end()) {
    if (!has_connections(line)) return;
    line->go_on(other->second->newest);
  } else if (line->newest->chain != heir) {
    line->go_on(make_ref<ChainState>(worker_, heir, line->newest.get()));
  }
  lines_.emplace(heir.get(), line);
}

// Connections whose chain this update took away.  Those of an earlier one know already.
void Listener::drain_orphans(Instant deadline) {
  for (Connection* c = connections_.front(); c != nullptr; c = connections_.next(*c))
    if (c->line().drain_deadline == deadline) c->drain();
  if (!drain_timer_.is_armed()) worker_.loop.arm_at(drain_timer_, deadline);
}

void Listener::close_draining() {
  Instant later{};
  for (Connection* c = connections_.front(); c != nullptr;) {
    Connection* next = connections_.next(*c);
    const Instant deadline = c->line().drain_deadline;
    if (deadline != Instant{} && deadline <= worker_.loop.now()) {
      c->close({FailureKind::kDraining});
    } else if (deadline != Instant{} && (later == Instant{} || deadline < later)) {
      later = deadline;
    }
    c = next;
  }
  if (later != Instant{}) worker_.loop.arm_at(drain_timer_, later);
}

void Listener::close_socket() {
  draining_ = true;
  log::debug(
      log::kConnHandler, "listener takes no further connections",
      {{"listener", config_->name}, {"worker", worker_.index}, {"open_connections", count_}});
  drain_connections();
  ++count_;  // not empty before the queue is, whatever ends meanwhile
  for (const auto& acceptor : acceptors_) acceptor->drain_and_close();
  --count_;
  if (count_ == 0) end_drain();
}

void Listener::pause_accepting() {
  for (const auto& acceptor : acceptors_) acceptor->pause();
}

void Listener::resume_accepting() {
  if (draining_) return;
  for (const auto& acceptor : acceptors_) acceptor->resume();
}

void Listener::drain_connections() {
  for (Connection* c = connections_.front(); c != nullptr; c = connections_.next(*c)) c->drain();
}

void Listener::close_connections() {
  while (Inspection* i = inspections_->list.front()) {
    i->close();
    count_closed();
    end_inspection(*i);
  }
  while (Connection* c = connections_.front()) {
    c->close({FailureKind::kDraining});
    // A connection unlinks itself when it reports its end.
    if (connections_.front() == c) c->ListNode<ConnectionTag>::unlink();
  }
}

// A listener on one address of the peer's family knows it; others ask the kernel.
io::Address Listener::arrived_at(const io::Socket& socket, const io::Address& peer) const {
  const io::Address* only = config_->address.kind() == peer.kind() ? &config_->address : nullptr;
  for (const io::Address& more : config_->additional_addresses) {
    if (more.kind() != peer.kind()) continue;
    if (only != nullptr) return socket.local_address();
    only = &more;
  }
  const bool is_known = only != nullptr && only->is_ip() && !only->is_any() && only->port() != 0;
  return is_known ? *only : socket.local_address();
}

void Listener::on_accepted(int fd, const io::Address& peer) {
  std::unique_ptr<io::Socket> socket = io::Socket::adopt(worker_.loop, fd);
  stats_->downstream_cx_total.inc();
  if (!config_->ignore_global_conn_limit && !owner_.may_accept()) {
    stats_->downstream_cx_overflow.inc();
    log::debug(log::kConnHandler, "connection refused: the limit of connections is reached",
               {{"listener", config_->name}, {"peer", peer}});
    socket->close();
    worker_.loop.delete_later(std::move(socket));
    return;
  }
  stats_->downstream_cx_active.inc();
  ++count_;
  owner_.on_connection_count(1);
  log::trace(log::kConnHandler, "accepted", {{"listener", config_->name}, {"peer", peer}});
  ConnectionInfo info;
  info.id = next_connection_id(worker_.index);
  info.remote = peer;
  info.begin = worker_.loop.now();
  info.local = arrived_at(*socket, peer);
  const ConnectionInfo::Direct direct{info.remote, info.local};
  if (config_->use_original_dst || config_->original_dst_filter) {
    const io::Address original = io::original_destination(fd);
    if (original.is_ip() && original != info.local) {
      info.direct = &direct;
      info.local = original;
    }
  }
  if (config_->use_original_dst && !config_->lacks_config) {
    Listener* target = owner_.find_listener(info.local);
    if (target != nullptr && target != this) {
      stats_->downstream_cx_active.dec();
      --count_;
      target->stats_->downstream_cx_active.inc();
      ++target->count_;
      return target->take(std::move(socket), info);
    }
  }
  take(std::move(socket), info);
}

void Listener::take(std::unique_ptr<io::Socket> socket, const ConnectionInfo& info) {
  if (config_->lacks_config) {
    stats_->extension_config_missing.inc();
    return refuse(std::move(socket), info, {FailureKind::kNoListenerFilterConfig});
  }
  if (!needs_sniffing(*config_, info.local.port())) return begin(std::move(socket), info, {});
  auto* inspection = new Inspection(*this, worker_, std::move(socket), info);
  inspections_->list.push_back(*inspection);
  stats_->downstream_pre_cx_active.inc();
  inspection->start();
}

void Listener::end_inspection(Inspection& inspection) {
  static_cast<ListNode<>&>(inspection).unlink();
  stats_->downstream_pre_cx_active.dec();
  worker_.loop.delete_later(&inspection);
}

void Listener::on_accept_error(int error) {
  stats_->downstream_cx_overload_reject.inc();
  log::debug(log::kConnHandler, "connection refused",
             {{"listener", config_->name}, {"reason", std::strerror(error)}});
}

ChainLine& Listener::line_of(const std::shared_ptr<const FilterChain>& chain) {
  auto it = lines_.find(chain.get());
  if (it == lines_.end())
    it = lines_.emplace(chain.get(), make_ref<ChainLine>(worker_, *config_, chain));
  return *it->second;
}

void Listener::begin(std::unique_ptr<io::Socket> socket, ConnectionInfo info,
                     const Sniffed& sniffed) {
  const std::shared_ptr<const FilterChain>* found = match_chain(*config_, info, sniffed);
  if (found != nullptr && std::holds_alternative<std::monostate>((*found)->terminal)) {
    log::debug(log::kConnHandler, "closing connection: no filters", {{"listener", config_->name}});
    return refuse(std::move(socket), info, {FailureKind::kNoFilterChain});
  }
  if (found == nullptr) {
    stats_->no_filter_chain_match.inc();
    log_unmatched(*config_, info, sniffed);
    return refuse(std::move(socket), info, {FailureKind::kNoFilterChain});
  }
  ChainLine& line = line_of(*found);
  const FilterChain& chain = *line.newest->chain;
  info.filter_chain = &line.name;
  std::shared_ptr<const tls::Context> context;
  if (chain.tls != nullptr && (context = chain.tls->current()) == nullptr) {
    tls_factory_stats_->downstream_context_secrets_not_ready.inc();
    return refuse(std::move(socket), info, {FailureKind::kHandshakeFailed});
  }
  std::unique_ptr<io::Transport> transport = std::move(socket);
  if (context != nullptr) {
    tls::TlsTransport::Options options;
    options.listener_stats = tls_stats_.get();
    options.peer = info.direct_remote();
    transport = std::make_unique<tls::TlsTransport>(worker_.loop, std::move(transport),
                                                    std::move(context), options);
  }
  ConnectionOwner& owner = *this;
  Connection& connection =
      chain.network_filters.empty()
          ? serve(Ref(&line), info)
          : *new GuardedConnection(worker_, owner, Ref(&line), info, sniffed.server_name);
  connections_.push_back(connection);
  if (draining_) connection.drain();  // before it starts: it may answer at once
  connection.start(std::move(transport));
}

Connection& Listener::serve(const Ref<ChainLine>& line, const ConnectionInfo& info) {
  ConnectionOwner& owner = *this;
  if (line->tcp) return *new TcpProxy(worker_, owner, line, info);
  return *new HttpConnection(worker_, owner, line, info);
}

// A connection that nobody serves.
void Listener::refuse(std::unique_ptr<io::Socket> socket, const ConnectionInfo& info,
                      Failure failure) {
  socket->close();
  worker_.loop.delete_later(std::move(socket));
  log_end(info, nullptr, failure);
  count_closed();
}

// The listener's own access logs: a line for each connection, also for those that no chain took.
void Listener::log_end(const ConnectionInfo& info, const Connection* connection,
                       Failure failure) const {
  if (config_->access_logs.empty()) return;
  StreamInfo stream;
  stream.connection = &info;
  stream.failure = failure;
  stream.times.ds_rx_begin = info.begin;
  stream.times.end = worker_.loop.now();
  if (connection != nullptr) connection->describe(stream);
  for (const auto& log : config_->access_logs) log->log(stream);
}

void Listener::on_connection_replaced(Connection& former, Connection& next) {
  connections_.push_back(next);
  former.ListNode<ConnectionTag>::unlink();
  worker_.loop.delete_later(&former);
}

void Listener::on_connection_closed(Connection& connection, Failure failure) {
  stats_->downstream_cx_length_ms.record(worker_.loop.now() - connection.info().begin);
  log_end(connection.info(), &connection, failure);
  log::trace(log::kConnHandler, "closed",
             {{"listener", config_->name},
              {"peer", connection.info().direct_remote()},
              {"reason", failure ? failure.row().details : "in order"}});
  connection.ListNode<ConnectionTag>::unlink();
  worker_.loop.delete_later(&connection);
  count_closed();
}

void Listener::count_closed() {
  stats_->downstream_cx_active.dec();
  stats_->downstream_cx_destroy.inc();
  --count_;
  owner_.on_connection_count(-1);
  if (draining_ && count_ == 0) end_drain();
}

void Listener::end_drain() {
  log::debug(log::kConnHandler, "listener has no connections left",
             {{"listener", config_->name}, {"worker", worker_.index}});
  owner_.on_listener_empty(*this);
}

}  // namespace pillion::core
