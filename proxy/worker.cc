#include "proxy/worker.h"

#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <random>
#include <string>

#include "proxy/base/assert.h"
#include "proxy/base/log.h"
#include "proxy/base/slice.h"
#include "proxy/base/str.h"

namespace pillion {
namespace {

// How often a worker that has paused for want of descriptors looks whether others closed some.
constexpr Duration kResumeDelay = std::chrono::milliseconds(100);
// How long an update is applied in one turn.
constexpr Duration kSlice = std::chrono::milliseconds(1);

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

void Worker::watch_turns() {
  turn_stats_ = context_.registry.block<stats::WorkerDispatcherStats>(index_, str(index_));
  stats::WorkerDispatcherStats& rows = *turn_stats_;
  turns_.emplace(
      io::TurnWatch::Histograms{rows.loop_duration_us, rows.poll_delay_us, rows.loop_cpu_us});
  loop_.watch_turns(&*turns_);
}

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
  finish_applying();
  close_connections();
  for (Slot& slot : listeners_) loop_.delete_later(std::move(slot.listener));
  listeners_.clear();
  by_name_.clear();
  is_indexed_ = false;
  clusters_.clear();
  stats_ = {};
  listener_stats_ = {};
  loop_.watch_turns(nullptr);
  turn_stats_ = {};
  loop_.stop();
}

// ---- configuration ----

void Worker::apply(std::shared_ptr<const WorkerUpdate> update, Applied done) {
  DASSERT(applying_ == nullptr);
  applying_ = std::make_unique<Applying>();
  applying_->update = std::move(update);
  applying_->done = std::move(done);
  run_ready();
}

void Worker::run_ready() {
  if (applying_ == nullptr) return;  // it was finished meanwhile
  const Slice slice(kSlice);
  while (apply_one()) {
    if (slice.is_over()) return loop_.post_next(*this);
  }
  const std::unique_ptr<Applying> applied = std::move(applying_);
  context_.route_demands.wake();
  if (applied->done) applied->done(std::move(applied->update), std::move(applied->former));
}

// Clusters before the listeners whose routes name them, and removed after.  Sockets that take the
// place of others listen before those close: no client is refused between.
bool Worker::apply_one() {
  Applying& at = *applying_;
  const WorkerUpdate& update = *at.update;
  const auto keep = [&at](upstream::HostSetPtr former) {
    if (former != nullptr) at.former.push_back(std::move(former));
  };
  if (at.clusters < update.clusters.size()) {
    keep(clusters_.set(update.clusters[at.clusters++]));
    return true;
  }
  if (update.own_addresses != nullptr) {
    own_addresses_ = update.own_addresses;
    context_.own_addresses = own_addresses_.get();
  }
  if (at.changed < update.changed_listeners.size()) {
    const auto& config = update.changed_listeners[at.changed++];
    if (const auto it = by_name_.find(config->name); it != by_name_.end())
      it->second->update(config, update.draining_chains);
    return true;
  }
  if (at.added < update.new_listeners.size()) {
    const WorkerUpdate::NewListener& added = update.new_listeners[at.added++];
    add_listener(added.config, added.sockets[index_]);
    return true;
  }
  if (at.removed < update.removed_listeners.size()) {
    const size_t i = at.removed++;
    retire(update.removed_listeners[i], i < update.draining.size() ? update.draining[i] : nullptr);
    return true;
  }
  if (at.removed_clusters < update.removed_clusters.size()) {
    keep(clusters_.remove(update.removed_clusters[at.removed_clusters++]));
    return true;
  }
  if (at.done_later < at.later.size()) {
    // Out of the list, which may grow meanwhile.
    const std::function<void()> fn = std::move(at.later[at.done_later++]);
    fn();
    return true;
  }
  return false;
}

void Worker::finish_applying() {
  if (applying_ == nullptr) return;
  while (apply_one()) {
  }
  if (is_linked()) unlink();
  run_ready();
}

void Worker::when_applied(std::function<void()> fn) {
  if (applying_ == nullptr) return fn();
  applying_->later.push_back(std::move(fn));
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
  core::Listener*& named = by_name_[config->name];
  if (named != nullptr) replaced_[config->name] = named;  // until it is removed
  named = listener.get();
  is_indexed_ = false;
  core::Listener& added = *listener;
  listeners_.push_back({std::move(listener), false, {}, nullptr});
  // Its sockets may have been opened before.
  if (is_stopped(stopped_, *config)) added.close_socket();
}

void Worker::set_hosts(const std::string& cluster, const upstream::HostSetPtr& hosts,
                       FormerHosts& former) {
  if (auto before = clusters_.set_hosts(cluster, hosts)) former.push_back(std::move(before));
}

void Worker::take_news(std::shared_ptr<const HostNews> news, Taken done) {
  // At once, or in portions behind the update.
  const auto former = std::make_shared<FormerHosts>();
  for (const auto& item : news->hosts)
    when_applied([this, &item, former] { set_hosts(item.first, item.second, *former); });
  for (const std::string& cluster : news->health)
    when_applied([this, &cluster] { clusters_.update_health(cluster); });
  when_applied([news = std::move(news), former, done = std::move(done)]() mutable {
    if (done) done(std::move(news), std::move(*former));
  });
}

// The listener takes no further connections; those it has end within the drain time.
void Worker::retire(const std::string& name, std::shared_ptr<const void> draining) {
  TextMap<core::Listener*>& names = replaced_.contains(name) ? replaced_ : by_name_;
  const auto it = names.find(name);
  if (it == names.end()) return;
  core::Listener* const listener = it->second;
  names.erase(it);
  is_indexed_ = false;
  const auto slot =
      std::ranges::find(listeners_, listener, [](const Slot& s) { return s.listener.get(); });
  slot->is_old = true;
  slot->draining = std::move(draining);
  slot->deadline = loop_.now() + context_.drain_time;
  if (!retired_timer_.is_armed()) loop_.arm(retired_timer_, context_.drain_time);
  listener->close_socket();  // may be its end
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
  finish_applying();
  const StoppedListeners now = inbound_only ? StoppedListeners::kInbound : StoppedListeners::kAll;
  stopped_ = std::max(stopped_, now);
  std::vector<core::Listener*> chosen;  // a listener that gets empty meanwhile leaves the list
  for (const Slot& slot : listeners_)
    if (is_stopped(now, slot.listener->config())) chosen.push_back(slot.listener.get());
  for (core::Listener* listener : chosen) listener->close_socket();
}

void Worker::close_connections() {
  std::vector<core::Listener*> all;
  for (const Slot& slot : listeners_) all.push_back(slot.listener.get());
  for (core::Listener* listener : all) listener->close_connections();
}

// ---- connections ----

void Worker::index_addresses() {
  by_address_.clear();
  by_port_.clear();
  for (const Slot& slot : listeners_) {
    if (slot.is_old) continue;
    const auto add = [&](const io::Address& address) {
      by_address_.emplace(address, slot.listener.get());
      if (address.is_any()) by_port_[address.port()] = slot.listener.get();
    };
    const core::ListenerConfig& config = slot.listener->config();
    add(config.address);
    for (const io::Address& more : config.additional_addresses) add(more);
  }
  is_indexed_ = true;
}

core::Listener* Worker::find_listener(const io::Address& destination) {
  if (!is_indexed_) index_addresses();
  if (const auto it = by_address_.find(destination); it != by_address_.end()) return it->second;
  const auto any = by_port_.find(destination.port());
  return any == by_port_.end() ? nullptr : any->second;
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
