#pragma once
// HostList: the hosts of a cluster on one worker, each in the place that its endpoint has in the
// HostSet.  Owned by Cluster.
//
// Most updates change a few of many, so that those before and after the change are found by their
// place, without a look at the hosts; only what lies between is looked up by id.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

#include "proxy/base/ref.h"
#include "proxy/upstream/host.h"
#include "proxy/upstream/host_set.h"

namespace pillion::upstream {

class HostList {
 public:
  [[nodiscard]] const std::vector<Ref<Host>>& all() const noexcept { return hosts_; }
  [[nodiscard]] const HostSetPtr& set() const noexcept { return set_; }

  // Takes over a newer set, not null: make(info) returns the Host of one that is new, gone(host) is
  // called for each that is not in it.  Others stay, and learn of a newer HostInfo.
  template <typename Make, typename Gone>
  void adopt(HostSetPtr set, Make&& make, Gone&& gone);

 private:
  // Where the hosts with these ids are; at most half full, so that a probe is short.
  class Index {
   public:
    Index(const std::vector<HostInfoPtr>& hosts, size_t begin, size_t end)
        : slots_(std::bit_ceil(2 * (end - begin) + 1)) {
      for (size_t i = begin; i < end; ++i) slot_of(hosts[i]->id) = {hosts[i]->id, i};
    }
    // No place at all (SIZE_MAX) of one that is unknown.
    size_t find(HostId id) { return slot_of(id).at; }

   private:
    struct Slot {
      HostId id = 0;
      size_t at = SIZE_MAX;
    };
    // Ids are given in a row: they need no better hash.
    Slot& slot_of(HostId id) noexcept {
      const size_t mask = slots_.size() - 1;
      for (size_t i = id & mask;; i = (i + 1) & mask)
        if (slots_[i].id == id || slots_[i].at == SIZE_MAX) return slots_[i];
    }
    std::vector<Slot> slots_;
  };

  static bool is_same(const HostInfoPtr& a, const HostInfoPtr& b) noexcept {
    return a == b || a->id == b->id;
  }
  // Moves hosts_[at], which is of the same endpoint as `info`.
  void keep(size_t at, const HostInfoPtr& info, std::vector<Ref<Host>>& to) {
    if (set_->hosts[at] != info) hosts_[at]->set_info(info);
    to.push_back(std::move(hosts_[at]));
  }

  HostSetPtr set_;  // null: there was none yet
  std::vector<Ref<Host>> hosts_;
};

template <typename Make, typename Gone>
void HostList::adopt(HostSetPtr set, Make&& make, Gone&& gone) {
  static const std::vector<HostInfoPtr> kNone;
  const std::vector<HostInfoPtr>& before = set_ ? set_->hosts : kNone;
  const std::vector<HostInfoPtr>& after = set->hosts;
  size_t begin = 0;
  size_t old_end = before.size();
  size_t end = after.size();
  while (begin < std::min(old_end, end) && is_same(before[begin], after[begin])) ++begin;
  while (std::min(old_end, end) > begin && is_same(before[old_end - 1], after[end - 1])) {
    --old_end;
    --end;
  }
  std::vector<Ref<Host>> next;
  next.reserve(after.size());
  for (size_t i = 0; i < begin; ++i) keep(i, after[i], next);
  // Where nothing was between them, or nothing is, there is nobody to look for.
  if (begin == old_end || begin == end) {
    for (size_t i = begin; i < end; ++i) next.push_back(make(after[i]));
  } else {
    Index index(before, begin, old_end);
    for (size_t i = begin; i < end; ++i) {
      const size_t at = index.find(after[i]->id);
      // Once: whoever is there twice is another one the second time.
      if (at != SIZE_MAX && hosts_[at])
        keep(at, after[i], next);
      else
        next.push_back(make(after[i]));
    }
  }
  for (size_t i = begin; i < old_end; ++i)
    if (hosts_[i]) gone(*hosts_[i]);
  for (size_t i = end, at = old_end; i < after.size(); ++i, ++at) keep(at, after[i], next);
  hosts_ = std::move(next);
  set_ = std::move(set);
}

}  // namespace pillion::upstream
