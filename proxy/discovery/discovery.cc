#include "proxy/discovery/discovery.h"

#include <algorithm>
#include <utility>

#include "proxy/base/assert.h"
#include "proxy/base/log.h"
#include "proxy/discovery/dns_source.h"

namespace pillion::discovery {

using upstream::ClusterConfig;
using upstream::DiscoveryType;
using upstream::HostSetPtr;
namespace {

void count_update(stats::ClusterInfoStats& stats, const Update& update) {
  if (update.outcome == Outcome::kFailed) return stats.update_failure.inc();
  if (!update.is_counted) stats.update_success.inc();
  if (update.outcome == Outcome::kEmpty) stats.update_empty.inc();
  if (!update.hosts_changed) stats.update_no_rebuild.inc();
}

void set_membership(stats::ClusterInfoStats& stats, const upstream::HostSet& set,
                    const ClusterConfig& config, const ClusterHealth* health) {
  const uint32_t excluding = upstream::excluding_flags(config.balancer);
  int64_t healthy = 0;
  int64_t degraded = 0;
  int64_t excluded = 0;
  const auto count = [&](const auto& flags_of) {
    for (const upstream::HostInfoPtr& host : set.hosts) {
      const uint32_t flags = flags_of(host->id);
      excluded += (flags & excluding) != 0;
      if ((flags & (upstream::kFailedActive | upstream::kFailedOutlier)) != 0) continue;
      const bool has_degraded = (flags & upstream::kDegradedActive) != 0;
      healthy += host->is_healthy() && !has_degraded;
      degraded += host->is_degraded() || (host->is_healthy() && has_degraded);
    }
  };
  health == nullptr ? count([](upstream::HostId) { return 0u; }) : health->look(count);
  stats.membership_total.set(static_cast<int64_t>(set.hosts.size()));
  stats.membership_healthy.set(healthy);
  stats.membership_degraded.set(degraded);
  stats.membership_excluded.set(excluded);
}

void log_empty(std::string_view cluster, std::string_view name, size_t endpoints) {
  if (endpoints == 0) {
    log::warning(log::kDns,
                 "DNS has no address for the name: mistyped, or a service without endpoints; calls "
                 "to the cluster get 503 no healthy upstream",
                 {{"cluster", cluster}, {"name", name}});
    return;
  }
  log::warning(log::kDns,
               "DNS has no address for the name: mistyped, or a service without endpoints; the "
               "cluster goes on with its other endpoints",
               {{"cluster", cluster}, {"name", name}, {"endpoints", endpoints}});
}

}  // namespace

Discovery::Discovery(const Context& context, DiscoveryObserver& observer)
    : context_(context), observer_(observer) {}

Discovery::~Discovery() = default;

void Discovery::Slot::set(std::shared_ptr<const ClusterConfig> new_config,
                          std::shared_ptr<Source> new_source) {
  unlink();
  config = std::move(new_config);
  source = std::move(new_source);
  if (source != nullptr) source->uses().push_back(*this);
}

HostSetPtr Discovery::add(std::shared_ptr<const ClusterConfig> config) {
  DASSERT(!reporting_);
  const auto [it, is_new] = entries_.try_emplace(config->name);
  Entry& entry = it->second;
  if (is_new) entry.name = it->first;
  if (entry.next && entry.next->config == config) return entry.next->hosts();
  if (!entry.current.config)
    use_stats(entry, entry.next ? entry.next->config.get() : nullptr, *config);
  std::shared_ptr<Source> source = source_for(entry.latest(), *config);
  if (entry.next == nullptr) {
    entry.next = std::make_unique<Slot>(entry);
    waiting_.push_back(&entry);
  }
  entry.next->set(std::move(config), std::move(source));
  prepare_health(entry);
  count_cold(entry);
  entry.stats->warming_state.set(entry.is_counted_cold);
  return entry.next->hosts();
}

// A new stat_name is a new scope; `before`: whose the counters are.
void Discovery::use_stats(Entry& entry, const ClusterConfig* before, const ClusterConfig& config) {
  if (before != nullptr && before->stat_name == config.stat_name) return;
  if (before != nullptr) entry.stats->warming_state.set(0);
  entry.stats = context_.registry.block<stats::ClusterInfoStats>(stats::kControl, config.stat_name);
  entry.told = nullptr;
}

std::shared_ptr<Source> Discovery::source_for(const Slot& current, const ClusterConfig& config) {
  const HostSetPtr before = current.hosts();
  switch (config.type) {
    case DiscoveryType::kOriginalDst:
      return nullptr;
    case DiscoveryType::kStatic:
      return std::make_shared<StaticSource>(config.static_hosts, before);
    case DiscoveryType::kEds:
      return eds_source(config.eds_name);
    case DiscoveryType::kStrictDns:
    case DiscoveryType::kLogicalDns:
      break;
  }
  if (shared_.size() >= prune_shared_at_) {
    std::erase_if(shared_, [](const auto& item) { return item.second.expired(); });
    prune_shared_at_ = std::max(kFewestShared, 2 * shared_.size());
  }
  std::weak_ptr<Source>& known = shared_[DnsSource::key_of(config)];
  if (std::shared_ptr<Source> source = known.lock()) return source;
  const DnsSource::Context context{context_.loop, context_.resolver, context_.rng, *this};
  auto source = std::make_shared<DnsSource>(context, config, before);
  known = source;
  source->start();
  return source;
}

std::shared_ptr<EdsSource> Discovery::eds_source(std::string_view name) {
  if (const auto it = eds_.find(name); it != eds_.end()) return it->second;
  SourceObserver& observer = *this;
  return eds_.emplace(name, std::make_shared<EdsSource>(observer)).first->second;
}

void Discovery::set_endpoints(std::string_view eds_name, const HostSetPtr& hosts) {
  eds_source(eds_name)->set(hosts);
}

void Discovery::set_endpoints(std::string_view eds_name, const upstream::Endpoints& endpoints) {
  set_endpoints(eds_name, upstream::make_host_set(endpoints, eds_source(eds_name)->hosts()));
}

HostSetPtr Discovery::endpoints_of(std::string_view eds_name) const {
  const auto it = eds_.find(eds_name);
  return it == eds_.end() ? nullptr : it->second->hosts();
}

void Discovery::forget_endpoints(const std::vector<std::string>& eds_names) {
  for (const std::string& name : eds_names) eds_.erase(SharedText(name));
}

void Discovery::commit() {
  DASSERT(!reporting_);
  for (Entry* const entry : std::exchange(waiting_, {})) take_next(*entry);
}

void Discovery::commit(const ClusterNames& names) {
  DASSERT(!reporting_);
  for (const std::string_view name : names) {
    const auto it = entries_.find(name);
    if (it != entries_.end() && it->second.next) take_next(it->second);
  }
  std::erase_if(waiting_, [](const Entry* entry) { return entry->next == nullptr; });
}

void Discovery::take_next(Entry& entry) {
  const std::unique_ptr<Slot> next = std::exchange(entry.next, nullptr);
  if (entry.current.config) use_stats(entry, entry.current.config.get(), *next->config);
  entry.breakers.change_config(entry.current.config.get(), *next->config);
  entry.current.set(std::move(next->config), std::move(next->source));
  use_health(entry);
  count_cold(entry);
  entry.is_membership_stale = true;  // it may heed other verdicts
  tell_membership(entry);
}

void Discovery::prepare_health(Entry& entry) {
  const ClusterConfig& config = *entry.next->config;
  if (!has_health(config) && entry.health == nullptr) return;
  if (entry.health == nullptr) {
    ClusterHealth::Owner& owner = *this;
    entry.health = std::make_unique<ClusterHealth>(
        ClusterHealth::Context{context_.loop, context_.batch, inbox_, context_.registry,
                               context_.rng, owner},
        config.name.str());
    // Which has none of it, and heeds nothing of what is found.
    if (entry.current.config) entry.health->use(entry.current.config, entry.current.hosts());
  }
  entry.health->prepare(entry.next->config, entry.next->hosts());
}

// Of the configuration in force.
void Discovery::use_health(Entry& entry) {
  if (entry.health == nullptr) return;
  if (!has_health(*entry.current.config)) return entry.health.reset();
  entry.health->use(entry.current.config, entry.current.hosts());
}

bool Discovery::is_cold(const Entry& entry) {
  const Source* source = entry.latest().source.get();
  return (source != nullptr && !source->is_warm()) ||
         (entry.health != nullptr && !entry.health->is_warm());
}

void Discovery::count_cold(Entry& entry) {
  const bool was_cold = std::exchange(entry.is_counted_cold, is_cold(entry));
  cold_ += size_t{entry.is_counted_cold};
  cold_ -= size_t{was_cold};
  // In a call of its own, so that control may do what it likes with sources.
  if (was_cold && !entry.is_counted_cold) context_.loop.post(*this);
}

const ClusterHealth* Discovery::health(std::string_view name) const {
  const auto it = entries_.find(name);
  return it == entries_.end() ? nullptr : it->second.health.get();
}

void Discovery::on_cluster_health(ClusterHealth& health) {
  Entry& entry = entries_.find(health.name())->second;
  count_cold(entry);
  if (entry.next) entry.stats->warming_state.set(entry.is_counted_cold);
  if (!entry.current.source) return;
  // Verdicts come by the thousand, scrapes do not.
  entry.is_membership_stale = true;
  observer_.on_health(health.name());
}

void Discovery::abandon(const ClusterNames& names) {
  DASSERT(!reporting_);
  std::vector<Entry*> given_up;
  for (const std::string_view name : names) {
    const auto it = entries_.find(name);
    if (it == entries_.end() || !it->second.next) continue;
    it->second.next.reset();
    given_up.push_back(&it->second);
  }
  std::erase_if(waiting_, [](const Entry* entry) { return entry->next == nullptr; });
  for (Entry* const entry : given_up) {
    entry->stats->warming_state.set(0);
    if (!entry->current.config) {
      erase(*entry);
      continue;
    }
    use_health(*entry);
    count_cold(*entry);
  }
}

void Discovery::remove(std::string_view name) {
  DASSERT(!reporting_);
  const auto it = entries_.find(name);
  if (it == entries_.end()) return;
  if (it->second.next) std::erase(waiting_, &it->second);
  erase(it->second);
}

void Discovery::erase(Entry& entry) {
  cold_ -= size_t{entry.is_counted_cold};
  entries_.erase(entries_.find(entry.name));
}

HostSetPtr Discovery::hosts(std::string_view name) const {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return nullptr;
  const Entry& entry = it->second;
  return entry.next && !entry.current.config ? entry.next->hosts() : entry.current.hosts();
}

HostSetPtr Discovery::hosts(const ClusterConfig& config) const {
  const auto it = entries_.find(config.name);
  if (it == entries_.end()) return nullptr;
  const Entry& entry = it->second;
  const bool is_next = entry.next && entry.next->config.get() == &config;
  return is_next ? entry.next->hosts() : hosts(entry.name);
}

void Discovery::refresh_gauges() {
  for (auto& [name, entry] : entries_) {
    if (!entry.current.config) continue;
    entry.breakers.refresh(context_.registry, *entry.current.config);
    if (entry.is_membership_stale) count_membership(entry);
  }
}

bool Discovery::is_warm(const ClusterConfig& config) const {
  const auto it = entries_.find(config.name);
  return it != entries_.end() && it->second.latest().config.get() == &config &&
         !is_cold(it->second);
}

void Discovery::run_ready() { observer_.on_warm(); }

void Discovery::on_attempt(Source& source) {
  for_each_user(source, [](Entry& entry) { entry.stats->update_attempt.inc(); });
}

void Discovery::on_update(Source& source, const Update& update) {
  reporting_ = true;
  for_each_user(source, [&](Entry& entry) {
    count_update(*entry.stats, update);
    if (!update.empty_name.empty())
      log_empty(entry.name, update.empty_name, source.hosts()->hosts.size());
    if (update.hosts_changed && entry.health != nullptr)
      entry.health->set_hosts(entry.current.hosts(), entry.next ? entry.next->hosts() : nullptr);
    // Hosts that come may have to be checked first.
    if (update.became_warm || (update.hosts_changed && entry.health != nullptr)) {
      count_cold(entry);
      entry.stats->warming_state.set(entry.is_counted_cold);
    }
    if (!update.hosts_changed || entry.current.source.get() != &source) return;
    tell_membership(entry);
    observer_.on_hosts(entry.name, source.hosts());
  });
  reporting_ = false;
}

void Discovery::count_membership(Entry& entry) {
  entry.is_membership_stale = false;
  if (!entry.current.source) return;
  set_membership(*entry.stats, *entry.current.source->hosts(), *entry.current.config,
                 entry.health.get());
}

void Discovery::tell_membership(Entry& entry) {
  if (!entry.current.source) return;
  const HostSetPtr& hosts = entry.current.source->hosts();
  const HostSetPtr before = std::exchange(entry.told, hosts);
  if (before == hosts) return;
  entry.stats->membership_change.inc();
  count_membership(entry);
  if (!log::enabled(log::kUpstream, log::Level::kDebug)) return;
  const upstream::HostChange change = upstream::compare(before.get(), *hosts);
  if (change.added.empty() && change.removed.empty()) return;
  log::debug(log::kUpstream, "hosts changed",
             {{"cluster", entry.name.view()},
              {"added", change.added.size()},
              {"removed", change.removed.size()},
              {"hosts", hosts->hosts.size()}});
}

}  // namespace pillion::discovery
