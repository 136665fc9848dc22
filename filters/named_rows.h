#pragma once
// NamedRows: what a filter counts on one worker by names that routes bring along (of policies,
// clusters, stat prefixes): a block of counters for each, made with the first use of its name.
//
// A member of the filter's FilterWorkerState, which goes on over pushes of routes; so would the
// rows of names that no route has any more.  Where rows are many, those that nobody has used for
// some minutes go; they would begin at 0 again.

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/base/clock.h"
#include "proxy/base/text_map.h"
#include "proxy/stats/registry.h"

namespace pillion::filters {

template <typename Block>
class NamedRows {
 public:
  // So many are kept however old they are.
  static constexpr size_t kMany = 256;
  static constexpr Duration kForgetAfter = std::chrono::minutes(10);

  // `make(name)` returns a BlockRef<Block>; it takes a lock of the registry.  The row is valid
  // until the next call.
  template <typename Make>
  Block& row(std::string_view name, Instant now, Make&& make) {
    auto it = rows_.find(name);
    if (it == rows_.end()) {
      if (rows_.size() >= limit_) forget(now);
      it = rows_.emplace(std::string(name), Row{make(name), now}).first;
    }
    it->second.used = now;
    return *it->second.block;
  }
  [[nodiscard]] size_t size() const noexcept { return rows_.size(); }

 private:
  struct Row {
    stats::BlockRef<Block> block;
    Instant used;
  };

  void forget(Instant now) {
    std::erase_if(rows_, [now](const auto& row) { return now - row.second.used > kForgetAfter; });
    // Room for as many again, so that a look at all rows is rare however many there are.
    limit_ = std::max(kMany, 2 * rows_.size());
  }

  TextMap<Row> rows_;
  size_t limit_ = kMany;
};

}  // namespace pillion::filters
