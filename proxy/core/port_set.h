#pragma once
// PortSet: a set of ports, as a ListenerFilterChainMatchPredicate describes it.  Immutable once
// made.

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace pillion::core {

class PortSet {
 public:
  static constexpr uint32_t kEnd = 65536;

  PortSet() = default;  // empty
  static PortSet all() { return range(0, kEnd); }
  // The ports of [begin, end).
  static PortSet range(uint32_t begin, uint32_t end) {
    PortSet set;
    if (begin < end) set.ranges_.emplace_back(begin, end);
    return set;
  }

  [[nodiscard]] bool empty() const noexcept { return ranges_.empty(); }
  [[nodiscard]] bool contains(uint16_t port) const noexcept {
    return std::ranges::any_of(
        ranges_, [port](const Range& r) { return r.first <= port && port < r.second; });
  }

  void add(const PortSet& other) {
    ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
    std::ranges::sort(ranges_);
    std::vector<Range> merged;
    for (const Range& r : ranges_) {
      if (!merged.empty() && r.first <= merged.back().second) {
        merged.back().second = std::max(merged.back().second, r.second);
      } else {
        merged.push_back(r);
      }
    }
    ranges_ = std::move(merged);
  }
  [[nodiscard]] PortSet complement() const {
    PortSet out;
    uint32_t begin = 0;
    for (const Range& r : ranges_) {
      out.add(range(begin, r.first));
      begin = r.second;
    }
    out.add(range(begin, kEnd));
    return out;
  }

 private:
  using Range = std::pair<uint32_t, uint32_t>;
  std::vector<Range> ranges_;  // sorted, with gaps between them
};

}  // namespace pillion::core
