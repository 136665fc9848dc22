// The sockets of a configuration: opened before it takes effect, and what becomes of listeners
// whose addresses cannot be had.
#include <algorithm>
#include <unordered_set>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/base/slice.h"
#include "proxy/builder/keep_waiting.h"
#include "proxy/builder/listener_moves.h"
#include "proxy/core/chain_heirs.h"
#include "proxy/server.h"

namespace pillion {
namespace {

using core::ListenerConfig;

bool is_changed_in_place(const std::shared_ptr<const ListenerConfig>& before,
                         const std::shared_ptr<const ListenerConfig>& after) {
  return before != nullptr && after != nullptr && before->socket_hash == after->socket_hash;
}

void diff_listeners(const SnapshotChanges& changes, WorkerUpdate& update) {
  for (const auto& [name, before, after] : changes.listeners) {
    if (is_changed_in_place(before, after)) {
      update.changed_listeners.push_back(after);
      continue;
    }
    if (before != nullptr) update.removed_listeners.emplace_back(name);
    if (after != nullptr) update.new_listeners.push_back({after, {}});
  }
}

}  // namespace

// What a build must know of sockets.
void Server::add_to(BuildJob& job) const {
  job.ours = bound_.ours();
  job.stopped_listeners = stopped_;
  job.held_listeners = unbound_.held();
}

std::unique_ptr<Server::Change> Server::begin_change(BuildResult result) {
  auto change = std::make_unique<Change>();
  change->next = std::make_shared<Snapshot>(*result.snapshot);
  change->result = std::move(result);
  change->changes = changes_between(snapshot_.get(), *change->next);
  change->update = std::make_unique<WorkerUpdate>();
  diff_listeners(change->changes, *change->update);
  change->sockets =
      std::make_unique<SocketOpener>(*change->update, concurrency_, *bound_.ours(), stopped_);
  return change;
}

void Server::open_sockets() {
  if (opening_ == nullptr) return;
  if (shutting_down_) return opening_.reset();
  const Slice slice;
  while (opening_->sockets->open_next()) {
    if (slice.is_over()) return loop_.post_next(open_sockets_task_);
  }
  const std::unique_ptr<Change> change = std::move(opening_);
  leave_out_unopened(*change);
  commit(*change);
  end_build(change->result, true);
}

// The builder has found their addresses free when it accepted them; now they wait, and so does who
// was to take an address that one of them keeps.
void Server::leave_out_unopened(Change& change) {
  const auto& failures = change.sockets->failures();
  if (failures.empty()) return;
  Names names;
  for (const SocketOpener::Failure& failure : failures) {
    listener_stats_->listener_create_failure.inc();
    unbound_.add(failure.listener, failure.reason);
    names.insert(failure.listener->name);
  }
  std::vector<ListenerMove> moves;
  for (const auto& [name, before, after] : change.changes.listeners) {
    if (after != nullptr)
      moves.push_back({before.get(), after.get(), !names.contains(after->name)});
  }
  names.merge(blocked_moves(moves));
  change.sockets->leave_out(names);
  std::erase_if(change.changes.listeners,
                [&names](const auto& c) { return names.contains(c.name); });
  keep_waiting(*change.next, names, *snapshot_, change.result.read_files);
}

Status<> Server::try_listener(const core::ListenerConfig& listener) {
  if (is_stopped(stopped_, listener)) return Ok{};
  const auto wrong = try_addresses(listener, *bound_.ours());
  if (wrong.empty()) return Ok{};
  listener_stats_->listener_create_failure.inc();
  return Error<std::string>{wrong.front().text};
}

void Server::on_addresses_free() {
  sockets_wait_ = true;
  build_if_wanted();
}

// Nobody listens there from now on, nor do those that come later.  Each counts once, when no worker
// takes connections of it any more.
void Server::stop_listeners(StoppedListeners which) {
  const auto count =
      static_cast<uint64_t>(std::ranges::count_if(snapshot_->listeners, [&](const auto& listener) {
        return is_stopped(which, *listener) && !is_stopped(stopped_, *listener);
      }));
  stopped_ = std::max(stopped_, which);
  const auto left = std::make_shared<uint32_t>(concurrency_);  // control's alone
  for (const auto& worker : workers_) {
    worker->post([this, which, left, count](Worker& w) {
      w.close_sockets(which == StoppedListeners::kInbound);
      inbox_.post([this, left, count] {
        if (--*left == 0) listener_stats_->listener_stopped.add(count);
      });
    });
  }
}

// A listener that gets another socket is removed and new at once.
void Server::count_listeners(const WorkerUpdate& update) {
  std::unordered_set<std::string_view> removed(update.removed_listeners.begin(),
                                               update.removed_listeners.end());
  const auto replaced = static_cast<uint64_t>(
      std::ranges::count_if(update.new_listeners, [&](const WorkerUpdate::NewListener& added) {
        return removed.contains(added.config->name);
      }));
  listener_stats_->listener_added.add(update.new_listeners.size() - replaced);
  listener_stats_->listener_removed.add(update.removed_listeners.size() - replaced);
  listener_stats_->listener_modified.add(update.changed_listeners.size() + replaced);
  listener_stats_->listener_in_place_updated.add(update.changed_listeners.size());
  for (const std::string& name : update.removed_listeners)
    log::debug(log::kConfig, "listener removed", {{"listener", name}});
  for (const auto& listener : update.changed_listeners)
    log::debug(log::kConfig, "listener changed", {{"listener", listener->name}});
  for (const WorkerUpdate::NewListener& added : update.new_listeners)
    log::debug(log::kConfig, "listener added", {{"listener", added.config->name}});
}

// Until every worker has let go of them.
void Server::begin_drains(const SnapshotChanges& changes, WorkerUpdate& update) {
  for (size_t i = 0; i < update.removed_listeners.size(); ++i)
    update.draining.push_back(drain_count_.begin());
  for (const auto& [name, before, after] : changes.listeners) {
    if (!is_changed_in_place(before, after)) continue;
    const core::ChainHeirs heirs(*after);
    const auto begin = [&](const std::shared_ptr<const core::FilterChain>& chain) {
      if (chain != nullptr && heirs.of(*chain) == nullptr)
        update.draining_chains.emplace(chain.get(), chain_drain_count_.begin());
    };
    std::ranges::for_each(before->chains, begin);
    begin(before->default_chain);
  }
}

void Server::refresh_drains() {
  // Unused as long as none did.
  const auto tell = [](const DrainCount& count, stats::Gauge& gauge) {
    if (const int64_t now = count.value(); now != gauge.value()) gauge.set(now);
  };
  tell(drain_count_, listener_stats_->total_listeners_draining);
  tell(chain_drain_count_, listener_stats_->total_filter_chains_draining);
}

void Server::set_own_addresses(WorkerUpdate& update) {
  if (update.new_listeners.empty() && update.removed_listeners.empty() && snapshot_ != nullptr)
    return;
  std::vector<io::Address> addresses = bound_.addresses();
  if (admin_ != nullptr) addresses.push_back(admin_->address());
  update.own_addresses = std::make_shared<const std::vector<io::Address>>(std::move(addresses));
}

}  // namespace pillion
