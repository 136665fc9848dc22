#include "proxy/worker.h"

#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <random>
#include <string>

#include "proxy/base/assert.h"
#include "proxy/base/log.h"
#include "proxy/base/str.h"

namespace pillion {
namespace {

// How often a worker that has paused for want of descriptors looks whether others closed some.
constexpr Duration kResumeDelay = std::chrono::milliseconds(100);

void block_signals() {
  sigset_t all;
  sigfillset(&all);
  // Faults of this thread still reach the crash handler.
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) sigdelset(&all, fault);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

Worker::Worker(uint16_t index, stats::Registry& registry, ConnectionBudget& budget,
               Duration drain_time)
    : index_(index),
      budget_(budget),
      clusters_(upstream::ClusterContext{loop_, batch_, registry, index, context_.rng}),
      context_{loop_, batch_, registry, clusters_, index, Rng(std::random_device{}()), {}},
      stats_(registry.block<stats::ServerStats>(index)),
      listener_stats_(registry.block<stats::ListenerManagerStats>(index)) {
  context_.drain_time = drain_time;
}

Worker::~Worker() { DASSERT(!thread_.joinable()); }

void Worker::start() {
  thread_ = std::thread([this] { run(); });
}

void Worker::run() {
  block_signals();
  pthread_setname_np(pthread_self(), str("worker-", index_).c_str());
  loop_.run();
  Arena::trim_free_list();
}

void Worker::stop() {
  if (!thread_.joinable()) return;
  post([](Worker& worker) { worker.shut_down(); });
  thread_.join();
}

void Worker::shut_down() {
  resume_timer_.cancel();
  retired_timer_.cancel();
  close_connections();
  for (Slot& slot : listeners_) loop_.delete_later(std::move(slot.listener));
  listeners_.clear();
  clusters_.clear();
  stats_ = {};
  listener_stats_ = {};
  current_.reset();
  loop_.stop();
}

// ---- configuration ----

void Worker::apply(std::shared_ptr<const WorkerUpdate> update) {
  // Clusters before the listeners whose routes name them, and removed after.
  for (const upstream::ClusterResource& cluster : update->clusters) clusters_.set(cluster);
  context_.own_addresses = &update->own_addresses;
  for (const auto& config : update->changed_listeners) {
    for (Slot& slot : listeners_) {
      if (!slot.is_old && slot.listener->config().name == config->name)
        slot.listener->update(config);
    }
  }
  // Sockets that take the place of others listen before those close: no client is refused between.
  for (const WorkerUpdate::NewListener& added : update->new_listeners)
    add_listener(added.config, added.sockets[index_]);
  for (const std::string& name : update->removed_listeners) retire(name);
  for (const std::string& name : update->removed_clusters) clusters_.remove(name);
  current_ = std::move(update);
  context_.route_demands.wake();
}

void Worker::add_listener(const std::shared_ptr<const core::ListenerConfig>& config,
                          std::span<const int> sockets) {
  core::ListenerOwner& owner = *this;
  auto listener = std::make_unique<core::Listener>(context_, owner, config, sockets);
  if (const int error = listener->listen_error(); error != 0) {
    listener_stats_->listener_create_failure.inc();
    log::error(log::kConnHandler, "cannot listen; trying again every second",
               {{"listener", config->name},
                {"address", config->address},
                {"reason", std::strerror(error)}});
  } else {
    listener_stats_->listener_create_success.inc();
  }
  if (accepting_paused_) listener->pause_accepting();
  listeners_.push_back({std::move(listener), false});
}

void Worker::set_hosts(const std::string& cluster,
                       const std::shared_ptr<const upstream::HostSet>& hosts) {
  clusters_.set_hosts(cluster, hosts);
}

// The listener takes no further connections; those it has end within the drain time.  The one that
// replaces it has the same name and stands behind it.
void Worker::retire(const std::string& name) {
  for (Slot& slot : listeners_) {
    if (slot.is_old || slot.listener->config().name != name) continue;
    slot.is_old = true;
    slot.deadline = loop_.now() + context_.drain_time;
    slot.listener->close_socket();  // may be its end: on_listener_empty() only marks it
    if (!retired_timer_.is_armed()) loop_.arm(retired_timer_, context_.drain_time);
    return;
  }
}

void Worker::on_listener_empty(core::Listener& listener) {
  const auto it = std::ranges::find_if(
      listeners_, [&](const Slot& s) { return s.listener.get() == &listener; });
  if (it == listeners_.end() || !it->is_old) return;
  loop_.delete_later(std::move(it->listener));
  listeners_.erase(it);
}

void Worker::end_retired() {
  std::vector<core::Listener*> due;
  Instant next{};
  for (const Slot& slot : listeners_) {
    if (!slot.is_old) continue;
    if (slot.deadline <= loop_.now()) {
      due.push_back(slot.listener.get());
    } else if (next == Instant{} || slot.deadline < next) {
      next = slot.deadline;
    }
  }
  if (next != Instant{}) loop_.arm_at(retired_timer_, next);
  for (core::Listener* listener : due) listener->close_connections();
}

// ---- draining ----

void Worker::announce_drain(bool gradual) {
  context_.draining = true;
  context_.gradual_drain = gradual;
  context_.drain_begin = loop_.now();
}

void Worker::close_sockets(bool inbound_only) {
  std::vector<core::Listener*> chosen;  // a listener that gets empty meanwhile leaves the list
  for (const Slot& slot : listeners_) {
    const bool is_inbound =
        slot.listener->config().direction == core::ListenerConfig::Direction::kInbound;
    if (!inbound_only || is_inbound) chosen.push_back(slot.listener.get());
  }
  for (core::Listener* listener : chosen) listener->close_socket();
}

void Worker::close_connections() {
  std::vector<core::Listener*> all;
  for (const Slot& slot : listeners_) all.push_back(slot.listener.get());
  for (core::Listener* listener : all) listener->close_connections();
}

// ---- connections ----

core::Listener* Worker::find_listener(const io::Address& destination) {
  core::Listener* any = nullptr;
  for (const Slot& slot : listeners_) {
    if (slot.is_old) continue;
    const core::ListenerConfig& config = slot.listener->config();
    const auto is_at = [&](const io::Address& address) {
      if (address.is_any() && address.port() == destination.port()) any = slot.listener.get();
      return address == destination;
    };
    if (is_at(config.address) || std::ranges::any_of(config.additional_addresses, is_at))
      return slot.listener.get();
  }
  return any;
}

bool Worker::may_accept() {
  return budget_.used.load(std::memory_order_relaxed) <
         budget_.limit.load(std::memory_order_relaxed);
}

void Worker::on_connection_count(int change) {
  const int64_t used = budget_.used.fetch_add(change, std::memory_order_relaxed) + change;
  if (change > 0 && used >= budget_.limit.load(std::memory_order_relaxed)) return pause_accepting();
  if (change < 0 && accepting_paused_) try_resume();
}

// Further clients wait in the kernel's queue; the rest of the descriptors is for upstreams, admin
// and logs.
void Worker::pause_accepting() {
  if (accepting_paused_) return;
  accepting_paused_ = true;
  stats_->accept_paused.inc();
  for (Slot& slot : listeners_) slot.listener->pause_accepting();
  loop_.arm(resume_timer_, kResumeDelay);
}

void Worker::try_resume() {
  if (!may_accept()) return loop_.arm(resume_timer_, kResumeDelay);
  resume_timer_.cancel();
  accepting_paused_ = false;
  for (Slot& slot : listeners_) slot.listener->resume_accepting();
}

}  // namespace pillion
