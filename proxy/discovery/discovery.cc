#include "proxy/discovery/discovery.h"

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
  for (const upstream::HostInfoPtr& host : set.hosts) {
    const uint32_t flags = health == nullptr ? 0 : health->verdict(host->id).flags;
    excluded += (flags & excluding) != 0;
    if ((flags & (upstream::kFailedActive | upstream::kFailedOutlier)) != 0) continue;
    const bool has_degraded = (flags & upstream::kDegradedActive) != 0;
    healthy += host->is_healthy() && !has_degraded;
    degraded += host->is_degraded() || (host->is_healthy() && has_degraded);
  }
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

HostSetPtr Discovery::add(std::shared_ptr<const ClusterConfig> config) {
  DASSERT(!reporting_);
  Entry& entry = entries_[config->name];
  // A new stat_name is a new scope.
  if (!entry.latest().config || entry.latest().config->stat_name != config->stat_name) {
    entry.stats =
        context_.registry.block<stats::ClusterInfoStats>(stats::kControl, config->stat_name);
    entry.told = nullptr;
  }
  entry.next.source = source_for(entry.latest(), *config);
  entry.next.config = std::move(config);
  index_.reset();
  prepare_health(entry);
  const bool waits = is_cold(entry);
  entry.stats->warming_state.set(waits);
  awaited_ = awaited_ || waits;
  return entry.next.source ? entry.next.source->hosts() : nullptr;
}

std::shared_ptr<Source> Discovery::source_for(const Slot& current, const ClusterConfig& config) {
  const HostSetPtr before = current.source ? current.source->hosts() : nullptr;
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
  std::erase_if(shared_, [](const auto& item) { return item.second.expired(); });
  std::weak_ptr<Source>& known = shared_[DnsSource::key_of(config)];
  if (std::shared_ptr<Source> source = known.lock()) return source;
  const DnsSource::Context context{context_.loop, context_.resolver, context_.rng, *this};
  auto source = std::make_shared<DnsSource>(context, config, before);
  known = source;
  source->start();
  return source;
}

std::shared_ptr<EdsSource> Discovery::eds_source(std::string_view name) {
  std::shared_ptr<EdsSource>& source = eds_[std::string(name)];
  if (source == nullptr) {
    SourceObserver& observer = *this;
    source = std::make_shared<EdsSource>(observer);
  }
  return source;
}

void Discovery::set_endpoints(std::string_view eds_name, const upstream::HostSet& endpoints) {
  eds_source(eds_name)->set(endpoints);
}

void Discovery::keep_endpoints(const SharedNames& eds_names) {
  std::erase_if(eds_, [&](const auto& item) { return !eds_names.contains(item.first); });
}

void Discovery::commit() {
  DASSERT(!reporting_);
  for (auto& [name, entry] : entries_) {
    if (!entry.next.config) continue;
    entry.current = std::exchange(entry.next, Slot{});
    use_health(entry);
    tell_membership(name, entry);
    entry.breakers.set_config(context_.registry, entry.current.config);
  }
  index_.reset();
}

void Discovery::prepare_health(Entry& entry) {
  const ClusterConfig& config = *entry.next.config;
  if (!has_health(config) && entry.health == nullptr) return;
  if (entry.health == nullptr) {
    ClusterHealth::Owner& owner = *this;
    entry.health = std::make_unique<ClusterHealth>(
        ClusterHealth::Context{context_.loop, context_.batch, inbox_, context_.registry,
                               context_.rng, owner},
        config.name);
  }
  entry.health->prepare(entry.next.config, Entry::hosts_of(entry.next));
}

// Of the configuration in force.
void Discovery::use_health(Entry& entry) {
  if (entry.health == nullptr) return;
  if (!has_health(*entry.current.config)) return entry.health.reset();
  entry.health->use(entry.current.config, Entry::hosts_of(entry.current));
}

bool Discovery::is_cold(const Entry& entry) {
  const Source* source = entry.latest().source.get();
  return (source != nullptr && !source->is_warm()) ||
         (entry.health != nullptr && !entry.health->is_warm());
}

const ClusterHealth* Discovery::health(std::string_view name) const {
  const auto it = entries_.find(name);
  return it == entries_.end() ? nullptr : it->second.health.get();
}

void Discovery::on_cluster_health(ClusterHealth& health) {
  Entry& entry = entries_.find(health.name())->second;
  if (entry.next.config) {
    entry.stats->warming_state.set(is_cold(entry));
    index_.reset();
    announce_if_warm();
  }
  if (!entry.current.source) return;
  set_membership(*entry.stats, *entry.current.source->hosts(), *entry.current.config, &health);
  observer_.on_health(health.name());
}

void Discovery::abandon() {
  DASSERT(!reporting_);
  for (auto& [name, entry] : entries_) entry.next = Slot{};
  std::erase_if(entries_, [](const auto& item) { return !item.second.current.config; });
  for (auto& [name, entry] : entries_) use_health(entry);
  index_.reset();
  announce_if_warm();
}

void Discovery::remove(std::string_view name) {
  DASSERT(!reporting_);
  const auto it = entries_.find(name);
  if (it == entries_.end()) return;
  entries_.erase(it);
  index_.reset();
  announce_if_warm();
}

HostSetPtr Discovery::hosts(std::string_view name) const {
  const auto it = entries_.find(name);
  if (it == entries_.end() || !it->second.latest().source) return nullptr;
  return it->second.latest().source->hosts();
}

void Discovery::refresh_gauges() {
  for (auto& [name, entry] : entries_) {
    entry.breakers.refresh();
  }
}

const Discovery::Index& Discovery::index() {
  if (index_) return *index_;
  index_ = std::make_unique<Index>();
  for (auto& [name, entry] : entries_) {
    const Source* current = entry.current.source.get();
    const Source* next = entry.next.source.get();
    if (current != nullptr) index_->users[current].emplace_back(&name, &entry);
    if (next != nullptr && next != current) index_->users[next].emplace_back(&name, &entry);
    if (is_cold(entry)) ++index_->cold;
  }
  return *index_;
}

bool Discovery::is_warm(std::string_view name) const {
  const auto it = entries_.find(name);
  return it == entries_.end() || !is_cold(it->second);
}

bool Discovery::all_warm() { return index().cold == 0; }

void Discovery::announce_if_warm() {
  if (awaited_ && all_warm()) context_.loop.post(*this);
}

// In a call of its own, so that control may do what it likes with sources.
void Discovery::run_ready() {
  if (!all_warm() || !std::exchange(awaited_, false)) return;
  observer_.on_warm();
}

void Discovery::on_attempt(Source& source) {
  const auto users = index().users.find(&source);
  if (users == index().users.end()) return;
  for (const auto& [name, entry] : users->second) entry->stats->update_attempt.inc();
}

void Discovery::on_update(Source& source, const Update& update) {
  const auto users = index().users.find(&source);
  if (users == index().users.end()) return;
  reporting_ = true;
  for (const auto& [name, entry] : users->second) {
    count_update(*entry->stats, update);
    if (!update.empty_name.empty())
      log_empty(*name, update.empty_name, source.hosts()->hosts.size());
    if (update.hosts_changed && entry->health != nullptr) {
      entry->health->set_hosts(Entry::hosts_of(entry->current), Entry::hosts_of(entry->next));
    }
    if (update.became_warm) entry->stats->warming_state.set(is_cold(*entry));
    if (!update.hosts_changed || entry->current.source.get() != &source) continue;
    tell_membership(*name, *entry);
    observer_.on_hosts(*name, source.hosts());
  }
  reporting_ = false;
  if (!update.became_warm) return;
  index_.reset();
  announce_if_warm();
}

void Discovery::tell_membership(std::string_view name, Entry& entry) {
  if (!entry.current.source) return;
  const HostSetPtr& hosts = entry.current.source->hosts();
  const HostSetPtr before = std::exchange(entry.told, hosts);
  if (before == hosts) return;
  entry.stats->membership_change.inc();
  set_membership(*entry.stats, *hosts, *entry.current.config, entry.health.get());
  if (!log::enabled(log::kUpstream, log::Level::kDebug)) return;
  const upstream::HostChange change = upstream::compare(before.get(), *hosts);
  if (change.added.empty() && change.removed.empty()) return;
  log::debug(log::kUpstream, "hosts changed",
             {{"cluster", name},
              {"added", change.added.size()},
              {"removed", change.removed.size()},
              {"hosts", hosts->hosts.size()}});
}

}  // namespace pillion::discovery
