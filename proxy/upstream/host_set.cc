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

// What makes an endpoint itself.
bool is_same_endpoint(const HostInfo& a, const HostInfo& b) noexcept {
  return a.address == b.address && a.hostname == b.hostname;
}
size_t identity_hash(const HostInfo& info) noexcept {
  return info.address.hash() ^ std::hash<std::string_view>{}(info.hostname);
}

HostId next_id() noexcept {
  // Sets are made by the control and the builder thread.
  static std::atomic<HostId> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

bool same_properties(const HostInfo& a, const HostInfo& b) noexcept {
  return a.weight == b.weight && a.priority == b.priority && a.health == b.health &&
         a.locality == b.locality && a.check == b.check;
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

  // `own`: the object for it if it is new; null: a copy is made.
  void add(const HostInfo& endpoint, const HostInfoPtr* own) {
    if (index_.empty()) {
      if (kept_ < before_.size() && is_same_endpoint(*before_[kept_], endpoint))
        return keep(before_[kept_++], endpoint, own);
      make_index();
    }
    Slot& slot = find(endpoint);
    if (slot.host == nullptr) {
      push(made(endpoint, own));
      slot.host = set_->hosts.back().get();
    } else if (slot.known != nullptr) {
      keep(*std::exchange(slot.known, nullptr), endpoint, own);
    }
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

  static HostInfoPtr made(const HostInfo& endpoint, const HostInfoPtr* own) {
    if (own != nullptr) return *own;
    auto info = std::make_shared<HostInfo>(endpoint);
    info->id = next_id();
    return info;
  }
  void keep(const HostInfoPtr& known, const HostInfo& endpoint, const HostInfoPtr* own) {
    // Its connections may have to be made otherwise: another host.  Equal labels are one object.
    if (known->transport != endpoint.transport) return push(made(endpoint, own));
    if (same_properties(*known, endpoint)) return push(known);
    auto info = std::make_shared<HostInfo>(endpoint);
    info->id = known->id;
    info->stats.share(known->stats);
    push(std::move(info));
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
  Slot& find(const HostInfo& endpoint) noexcept {
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
};

}  // namespace

size_t value_hash(const Locality& locality) noexcept {
  size_t hash = 0;
  for (const std::string* part : {&locality.region, &locality.zone, &locality.sub_zone})
    mix_hash(hash, std::hash<std::string>{}(*part));
  return hash;
}

size_t value_hash(const CheckTarget& target) noexcept {
  size_t hash = std::hash<std::string>{}(target.hostname);
  mix_hash(hash, size_t{target.port} << 1 | size_t{target.is_disabled});
  return hash;
}

HostSetPtr make_host_set(const Endpoints& endpoints, const HostSetPtr& previous) {
  Merger merger(endpoints.size(), previous);
  for (const HostInfo& endpoint : endpoints) merger.add(endpoint, nullptr);
  return merger.finish();
}

HostSetPtr with_identity(const HostSet& endpoints, const HostSetPtr& previous) {
  Merger merger(endpoints.hosts.size(), previous);
  for (const HostInfoPtr& endpoint : endpoints.hosts) merger.add(*endpoint, &endpoint);
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
