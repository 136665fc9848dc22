#include "proxy/upstream/host_set.h"

#include <atomic>
#include <bit>
#include <functional>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "proxy/base/assert.h"

namespace pillion::upstream {
namespace {

const HostTraits& traits_of(const HostInfo& info) noexcept { return info.like(); }
const HostTraits& traits_of(const Endpoint& endpoint) noexcept { return endpoint; }

// What makes an endpoint itself.
template <typename A, typename B>
bool is_same_endpoint(const A& a, const B& b) noexcept {
  return a.address == b.address && traits_of(a).hostname == traits_of(b).hostname;
}
template <typename T>
size_t identity_hash(const T& info) noexcept {
  return info.address.hash() ^ traits_of(info).hostname.hash();
}

HostId next_id() noexcept {
  // Sets are made by the control and the builder thread.
  static std::atomic<HostId> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

template <typename T>
bool same_properties(const HostInfo& a, const T& b) noexcept {
  return a.weight == b.weight && a.priority == b.priority && a.health == b.health &&
         a.like().locality == traits_of(b).locality && a.like().check == traits_of(b).check;
}

// Makes a set of endpoints that come one by one.  Most updates leave the order as it was: as long
// as they do, an endpoint is compared with the one in its place, and nothing is made.  The first
// that is not there makes an index of all.
class Merger {
 public:
  Merger(size_t count, const HostSetPtr& previous)
      : previous_(previous),
        before_(previous == nullptr ? kNone : previous->hosts),
        count_(count) {}

  // Of another set, of which new hosts are taken as they are; or as a source found it.
  void add(const HostInfoPtr& host) {
    take(*host, [&host] { return host; }, host);
  }
  void add(const Endpoint& endpoint) {
    take(endpoint, [&] { return made(next_id(), endpoint); }, endpoint);
  }
  HostSetPtr finish() {
    if (set_ == nullptr && previous_ != nullptr && same_ == before_.size()) return previous_;
    if (set_ == nullptr) begin();
    return std::move(set_);
  }

 private:
  struct Slot {
    const HostInfo* host = nullptr;      // null: empty
    const HostInfoPtr* known = nullptr;  // in before_; null: it is in the new set already
  };
  static inline const std::vector<HostInfoPtr> kNone;

  // make(): the object for it if it is new.
  template <typename T, typename Make, typename Source>
  void take(const T& endpoint, Make&& make, const Source& source) {
    if (index_.empty()) {
      if (kept_ < before_.size() && is_same_endpoint(*before_[kept_], endpoint))
        return keep(before_[kept_++], endpoint, make, source);
      make_index();
    }
    Slot& slot = find(endpoint);
    if (slot.host == nullptr) {
      push(make());
      slot.host = set_->hosts.back().get();
    } else if (slot.known != nullptr) {
      keep(*std::exchange(slot.known, nullptr), endpoint, make, source);
    }
  }
  template <typename T, typename Make, typename Source>
  void keep(const HostInfoPtr& known, const T& endpoint, Make& make, const Source& source) {
    // Its connections may have to be made otherwise: another host.  Equal labels are one object.
    if (known->like().transport != traits_of(endpoint).transport) return push(make());
    if (same_properties(*known, endpoint)) return push(known);
    const auto info = made(known->id, source);
    info->stats = known->stats;
    push(info);
  }
  AtomicRef<HostInfo> made(HostId id, const Endpoint& endpoint) {
    if (traits_ == nullptr || !(*traits_ == static_cast<const HostTraits&>(endpoint)))
      traits_ = SharedValue<HostTraits>(endpoint);
    return make_atomic_ref<HostInfo>(id, endpoint, traits_);
  }
  static AtomicRef<HostInfo> made(HostId id, const HostInfoPtr& like) {
    auto info = make_atomic_ref<HostInfo>();
    info->weight = like->weight;
    info->id = id & HostInfo::kIdMask;
    info->priority = like->priority;
    info->health = like->health;
    info->address = like->address;
    info->traits = like->traits;
    return info;
  }
  void push(HostInfoPtr host) {
    if (set_ == nullptr) {
      if (same_ < before_.size() && before_[same_] == host) {
        ++same_;
        return;
      }
      begin();
    }
    set_->hosts.push_back(std::move(host));
  }
  void begin() {
    set_ = std::make_shared<HostSet>();
    set_->hosts.reserve(count_);
    set_->hosts.insert(set_->hosts.end(), before_.begin(),
                       before_.begin() + static_cast<std::ptrdiff_t>(same_));
  }

  void make_index() {
    // At most half full: a probe is short.
    index_.resize(std::bit_ceil(2 * (before_.size() + count_) + 1));
    for (size_t i = 0; i < before_.size(); ++i)
      find(*before_[i]) = {before_[i].get(), i < kept_ ? nullptr : &before_[i]};
  }
  // The slot of that endpoint, or the one for it.
  template <typename T>
  Slot& find(const T& endpoint) noexcept {
    const size_t mask = index_.size() - 1;
    for (size_t at = identity_hash(endpoint) & mask;; at = (at + 1) & mask) {
      Slot& slot = index_[at];
      if (slot.host == nullptr || is_same_endpoint(*slot.host, endpoint)) return slot;
    }
  }

  const HostSetPtr& previous_;
  const std::vector<HostInfoPtr>& before_;
  const size_t count_;
  size_t kept_ = 0;  // of before_, in their places
  size_t same_ = 0;  // of them, the same objects; all that there is while set_ is null
  std::shared_ptr<HostSet> set_;
  std::vector<Slot> index_;
  SharedValue<HostTraits> traits_;  // of the host that was made last: mostly of the next one too
};

}  // namespace

size_t value_hash(const Locality& locality) noexcept {
  size_t hash = 0;
  for (const std::string* part : {&locality.region, &locality.zone, &locality.sub_zone})
    mix_hash(hash, std::hash<std::string>{}(*part));
  return hash;
}

size_t value_hash(const HostTraits& traits) noexcept {
  // Equal parts are one object.
  size_t hash = traits.hostname.hash();
  for (const void* part : {static_cast<const void*>(traits.locality.get()),
                           static_cast<const void*>(traits.check.get()),
                           static_cast<const void*>(traits.transport.get())})
    mix_hash(hash, reinterpret_cast<uintptr_t>(part));
  return hash;
}

size_t value_hash(const CheckTarget& target) noexcept {
  size_t hash = std::hash<std::string>{}(target.hostname);
  mix_hash(hash, size_t{target.port} << 1 | size_t{target.is_disabled});
  return hash;
}

HostSetPtr make_host_set(const Endpoints& endpoints, const HostSetPtr& previous) {
  Merger merger(endpoints.size(), previous);
  for (const Endpoint& endpoint : endpoints) merger.add(endpoint);
  return merger.finish();
}

HostSetPtr with_identity(const HostSet& endpoints, const HostSetPtr& previous) {
  Merger merger(endpoints.hosts.size(), previous);
  for (const HostInfoPtr& host : endpoints.hosts) merger.add(host);
  return merger.finish();
}

HostChange compare(const HostSet* before, const HostSet& after) {
  HostChange change;
  std::unordered_set<HostId> old;
  if (before != nullptr) {
    for (const HostInfoPtr& host : before->hosts) old.insert(host->id);
  }
  for (const HostInfoPtr& host : after.hosts) {
    if (old.erase(host->id) == 0) change.added.push_back(host);
  }
  change.kept = after.hosts.size() - change.added.size();
  if (old.empty()) return change;
  DASSERT(before != nullptr);
  for (const HostInfoPtr& host : before->hosts) {
    if (old.contains(host->id)) change.removed.push_back(host);
  }
  return change;
}

}  // namespace pillion::upstream
