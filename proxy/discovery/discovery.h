#pragma once
// Discovery: the endpoints of all clusters, on the control loop (design section 6, "Slots").
//
// Sources are kept by what they depend on: a source outlives a reload that leaves its names and
// options alone, and clusters with the same ones share it.
//
// A change of configuration takes two steps, so that workers never see hosts that do not belong to
// the configuration they have:
//
//   for (cluster of the new snapshot) discovery.add(cluster);   // old sources go on reporting
//   when all_warm(), at once or at on_warm():
//     discovery.commit();                                       // the added ones report from now
//     on hand the snapshot with hosts(name) to the workers for (cluster that is gone)
//     discovery.remove(name);
//   or abandon(), and nothing has happened.
//
// Writes the blocks of what it knows: membership_*, update_*, warming_state, and on
// refresh_gauges() the circuit breakers.

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/rng.h"
#include "proxy/base/shared_map.h"
#include "proxy/base/text_map.h"
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
  // The last cluster has become warm that was not at its add(); never inside another call.
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

  // Starts looking for the hosts of a cluster that is new or changed.  Returns what is known by
  // now; null for ORIGINAL_DST.
  upstream::HostSetPtr add(std::shared_ptr<const upstream::ClusterConfig> config);
  void commit();
  void abandon();
  void remove(std::string_view name);

  // What EDS says of the endpoints under that name, to all clusters that use it, now and later.
  void set_endpoints(std::string_view eds_name, const upstream::HostSet& endpoints);
  // Forgets the names that are not in this set.
  void keep_endpoints(const SharedNames& eds_names);

  [[nodiscard]] bool all_warm();
  // False: the first answer, or the first round of health checks, is waited for.
  [[nodiscard]] bool is_warm(std::string_view name) const;
  // As of the last add(), committed or not; null for ORIGINAL_DST and unknown names.
  [[nodiscard]] upstream::HostSetPtr hosts(std::string_view name) const;
  // What watching the hosts of a committed cluster has come to; null if nobody does.
  [[nodiscard]] const ClusterHealth* health(std::string_view name) const;
  // Brings circuit-breaker gauges up to date; before a scrape.
  void refresh_gauges();

 private:
  struct Slot {
    std::shared_ptr<const upstream::ClusterConfig> config;  // null: nothing here
    std::shared_ptr<Source> source;                         // null for ORIGINAL_DST
  };
  struct Entry {
    Slot current;
    Slot next;                  // waits for commit()
    upstream::HostSetPtr told;  // of which membership_* and the log speak
    stats::BlockRef<stats::ClusterInfoStats> stats;
    upstream::BreakerGauges breakers;
    std::unique_ptr<ClusterHealth> health;  // null: nobody watches the hosts
    [[nodiscard]] static upstream::HostSetPtr hosts_of(const Slot& slot) {
      return slot.source ? slot.source->hosts() : nullptr;
    }
    [[nodiscard]] const Slot& latest() const noexcept { return next.config ? next : current; }
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
  struct Index {
    size_t cold = 0;  // entries whose latest source is not warm
    std::unordered_map<const Source*, std::vector<std::pair<const std::string*, Entry*>>> users;
  };
  const Index& index();
  static void tell_membership(std::string_view name, Entry& entry);
  void announce_if_warm();

  Context context_;
  DiscoveryObserver& observer_;
  io::Inbox inbox_{context_.loop};  // for reports of workers
  TextMap<Entry> entries_;
  std::unordered_map<std::string, std::weak_ptr<Source>> shared_;       // by DnsSource::key_of
  std::map<std::string, std::shared_ptr<EdsSource>, std::less<>> eds_;  // by name
  std::unique_ptr<Index> index_;  // made when needed, dropped by each change of the entries
  bool awaited_ = false;          // on_warm() is due when all are warm
  bool reporting_ = false;
};

}  // namespace pillion::discovery
