#pragma once
// Awaited: names that were asked for and have not been answered, each with the moment at which it
// counts as missing (initial_fetch_timeout).
//
// A member of a Source; who has it arms a timer for next_deadline(), and at that time take_late().

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "proxy/base/clock.h"

namespace pillion::xds {

class Awaited {
 public:
  // Stands for all names of a wildcard.
  static constexpr std::string_view kAll = "*";

  // From now on; returns when it counts as missing.  A timeout of zero is without end, is not kept,
  // and returns the epoch.
  Instant add(std::string_view name, Duration timeout, Instant now) {
    if (timeout <= Duration{}) return {};
    deadlines_.insert_or_assign(std::string(name), now + timeout);
    return now + timeout;
  }
  // False: it was not awaited.
  bool remove(std::string_view name) {
    const auto it = deadlines_.find(name);
    if (it == deadlines_.end()) return false;
    deadlines_.erase(it);
    return true;
  }
  void clear() { deadlines_.clear(); }
  // Forgets the names that are not in this set.
  void keep_only(const std::set<std::string>& names) {
    std::erase_if(deadlines_, [&names](const auto& item) { return !names.contains(item.first); });
  }

  // The epoch: nothing is awaited.
  [[nodiscard]] Instant next_deadline() const {
    Instant next{};
    for (const auto& [name, deadline] : deadlines_)
      if (next == Instant{} || deadline < next) next = deadline;
    return next;
  }
  // Those whose time is over; they are not awaited any more.
  [[nodiscard]] std::set<std::string> take_late(Instant now) {
    std::set<std::string> late;
    std::erase_if(deadlines_, [&](const auto& item) {
      return item.second <= now && late.insert(item.first).second;
    });
    return late;
  }

 private:
  std::map<std::string, Instant, std::less<>> deadlines_;
};

}  // namespace pillion::xds
