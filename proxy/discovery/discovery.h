#pragma once
// Discovery: the endpoints of all clusters, on the control loop (design section 6, "Slots").
//
// Sources are kept by what they depend on: a source outlives a reload that leaves its names and
// options alone, and clusters with the same ones share it.
//
// A change of configuration takes two steps, so that workers never see hosts that do not belong to
// the configuration they have:
//
//   discovery.add(cluster)          // old sources go on reporting
//   when is_warm(cluster), at once or at on_warm():
//     discovery.commit(names)       // the added ones report from now on
//     hand the snapshot with hosts(cluster) to the workers
//     discovery.remove(name)        // of those that are gone
//   or abandon(names), and nothing has happened.  Others wait meanwhile as long as they like.
//
// A call costs what it concerns: an update of one source does not look at the other clusters, of
// which there may be ten thousand.
//
// Writes the blocks of what it knows: membership_*, update_*, warming_state, and before a scrape
// (refresh_gauges()) the circuit breakers and what verdicts have changed of membership_*.

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "proxy/base/rng.h"
#include "proxy/base/shared_text.h"
#include "proxy/discovery/cluster_health.h"
#include "proxy/discovery/source.h"
#include "proxy/io/inbox.h"
#include "proxy/io/loop.h"
#include "proxy/io/resolver.h"
#include "proxy/stats/registry.h"
#include "proxy/upstream/breaker_gauges.h"
#include "proxy/upstream/cluster_config.h"

namespace pillion::discovery {

class DiscoveryObserver {
 public:
  // A committed cluster has other hosts.  Must not call add, commit, abandon or remove.
  virtual void on_hosts(std::string_view cluster, const upstream::HostSetPtr& hosts) = 0;
  // Flags in the HostHealth of hosts of a committed cluster have changed.
  virtual void on_health(std::string_view /*cluster*/) {}
  // Some have become warm that were not at their add(); never inside another call.
  virtual void on_warm() = 0;

 protected:
  ~DiscoveryObserver() = default;
};

class Discovery final : private SourceObserver,
                        private ClusterHealth::Owner,
                        private io::ReadyTask {
 public:
  // All of it outlives the object.
  struct Context {
    io::Loop& loop;
    io::Resolver& resolver;
    stats::Registry& registry;
    Rng& rng;
    io::WriteBatch* batch = nullptr;  // of the loop; needed for health checks
  };
  Discovery(const Context& context, DiscoveryObserver& observer);
  ~Discovery();
  Discovery(const Discovery&) = delete;
  Discovery& operator=(const Discovery&) = delete;

  // Starts looking for the hosts of a cluster that is new or changed; takes the place of what was
  // added before under its name, if that is another one.  Returns what is known by now; null for
  // ORIGINAL_DST.
  upstream::HostSetPtr add(std::shared_ptr<const upstream::ClusterConfig> config);
  using ClusterNames = std::vector<std::string_view>;
  // Of these clusters what was added; without names of all.
  void commit();
  void commit(const ClusterNames& names);
  void abandon(const ClusterNames& names);
  void remove(std::string_view name);

  // What EDS says of the endpoints under that name, to all clusters that use it, now and later.
  // `hosts`: made with endpoints_of() of before, so that those that stay keep their identity.
  void set_endpoints(std::string_view eds_name, const upstream::HostSetPtr& hosts);
  void set_endpoints(std::string_view eds_name, const upstream::Endpoints& endpoints);
  // Null: nothing was said under that name.
  [[nodiscard]] upstream::HostSetPtr endpoints_of(std::string_view eds_name) const;
  // Forgets these names; clusters that use them keep what they have.
  void forget_endpoints(const std::vector<std::string>& eds_names);

  [[nodiscard]] bool all_warm() const noexcept { return cold_ == 0; }
  // Was it added last under its name, and has it the first answer, and the first round of health
  // checks?
  [[nodiscard]] bool is_warm(const upstream::ClusterConfig& config) const;
  // Calls fn(config) for each that is, and waits for commit().
  template <typename Fn>
  void for_each_warm(Fn&& fn) const {
    for (const Entry* entry : waiting_)
      if (!is_cold(*entry)) fn(*entry->next->config);
  }
  // Of what was committed, or else of what waits; null for ORIGINAL_DST and unknown names.
  [[nodiscard]] upstream::HostSetPtr hosts(std::string_view name) const;
  // Also of one that waits beside the one that was committed.
  [[nodiscard]] upstream::HostSetPtr hosts(const upstream::ClusterConfig& config) const;
  // What watching the hosts of a committed cluster has come to; null if nobody does.
  [[nodiscard]] const ClusterHealth* health(std::string_view name) const;
  // Brings the gauges of circuit breakers, and of members by health, up to date; before a scrape.
  void refresh_gauges();

 private:
  static constexpr size_t kFewestShared = 64;
  struct Entry;
  // A configuration of a cluster and where its hosts come from; stands in the list of that source.
  struct Slot : SourceUse {
    explicit Slot(Entry& owner) noexcept : entry(owner) {}
    void set(std::shared_ptr<const upstream::ClusterConfig> new_config,
             std::shared_ptr<Source> new_source);
    [[nodiscard]] upstream::HostSetPtr hosts() const {
      return source == nullptr ? nullptr : source->hosts();
    }

    Entry& entry;
    std::shared_ptr<const upstream::ClusterConfig> config;  // null: nothing here
    std::shared_ptr<Source> source;                         // null for ORIGINAL_DST
  };
  struct Entry {
    SharedText name;  // the key
    Slot current{*this};
    std::unique_ptr<Slot> next;        // waits for commit(), and is in waiting_; null: nothing does
    upstream::HostSetPtr told;         // of which membership_* and the log speak
    bool is_counted_cold = false;      // in cold_
    bool is_membership_stale = false;  // verdicts have changed since membership_* was set
    stats::BlockRef<stats::ClusterInfoStats> stats;
    upstream::BreakerGauges breakers;
    std::unique_ptr<ClusterHealth> health;  // null: nobody watches the hosts
    [[nodiscard]] const Slot& latest() const noexcept { return next ? *next : current; }
  };

  void on_attempt(Source& source) override;
  void on_update(Source& source, const Update& update) override;
  void on_cluster_health(ClusterHealth& health) override;
  void run_ready() override;

  void prepare_health(Entry& entry);
  void use_health(Entry& entry);
  [[nodiscard]] static bool is_cold(const Entry& entry);
  std::shared_ptr<Source> source_for(const Slot& current, const upstream::ClusterConfig& config);
  std::shared_ptr<EdsSource> eds_source(std::string_view name);
  template <typename Fn>
  static void for_each_user(Source& source, Fn&& fn) {
    IntrusiveList<SourceUse>& uses = source.uses();
    for (SourceUse* use = uses.front(); use != nullptr; use = uses.next(*use)) {
      Entry& entry = static_cast<Slot*>(use)->entry;
      // Where both slots have the source, once.
      if (use != entry.next.get() || entry.current.source != entry.next->source) fn(entry);
    }
  }
  // After whatever may have changed is_cold().
  void count_cold(Entry& entry);
  void use_stats(Entry& entry, const upstream::ClusterConfig* before,
                 const upstream::ClusterConfig& config);
  void take_next(Entry& entry);
  void erase(Entry& entry);
  static void tell_membership(Entry& entry);
  static void count_membership(Entry& entry);

  Context context_;
  DiscoveryObserver& observer_;
  io::Inbox inbox_{context_.loop};                                 // for reports of workers
  std::unordered_map<std::string, std::weak_ptr<Source>> shared_;  // by DnsSource::key_of
  size_t prune_shared_at_ = kFewestShared;                         // entries
  template <typename T>
  using ByName = std::unordered_map<SharedText, T, SharedTextHash, SharedTextEqual>;
  ByName<std::shared_ptr<EdsSource>> eds_;
  ByName<Entry> entries_;
  std::vector<Entry*> waiting_;  // for commit(), in the order in which they came
  size_t cold_ = 0;              // entries that are
  bool reporting_ = false;
};

}  // namespace pillion::discovery
