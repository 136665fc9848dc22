#pragma once
// HttpFilterChain: the http_filters of a connection manager without the router, compiled: for each
// hook the filters that have it, in the order in which they are called.  Immutable, shared by
// workers.

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "proxy/core/extension.h"
#include "proxy/core/http_filter.h"

namespace pillion::core {

// Of one chain on one worker, in the order of its filters.
using FilterWorkerStates = std::vector<Ref<FilterWorkerState>>;

class HttpFilterChain {
 public:
  static constexpr size_t kMaxFilters = 64;
  static constexpr uint32_t kDefaultBufferLimit = 1024 * 1024;

  struct Entry {
    std::string name;  // in http_filters; what typed_per_filter_config calls it
    std::shared_ptr<const HttpFilterFactory> factory;
    bool disabled = false;       // unless a route enables it
    const void* type = nullptr;  // as FilterOverride::type
    // By ECDS: `factory` and `type` are what came, or stands in for it; null: configured in place.
    std::shared_ptr<const HttpDiscovery> discovery = {};
    uint64_t extension_hash = 0;

    void take(HttpExtension extension) {
      factory = std::move(extension.factory);
      type = extension.type;
      extension_hash = extension.hash;
    }
  };
  // At least one entry, at most kMaxFilters.  `buffer_limit`: see FilterContext.
  explicit HttpFilterChain(std::vector<Entry> entries, uint32_t buffer_limit = kDefaultBufferLimit);

  [[nodiscard]] const std::vector<Entry>& entries() const noexcept { return entries_; }
  // Indices of entries.
  [[nodiscard]] std::span<const uint8_t> with(FilterHook hook) const noexcept {
    return lists_[static_cast<size_t>(hook)];
  }
  [[nodiscard]] uint32_t buffer_limit() const noexcept { return buffer_limit_; }
  [[nodiscard]] FilterWorkerStates make_worker_states(const FilterWorkerSetup& setup) const;
  // The same where a chain with an equal setup is replaced: filters whose factory is the same
  // object go on with what they have in `states`, which are of `former`.
  [[nodiscard]] FilterWorkerStates make_worker_states(const FilterWorkerSetup& setup,
                                                      const HttpFilterChain& former,
                                                      const FilterWorkerStates& states) const;

 private:
  std::vector<Entry> entries_;
  uint32_t buffer_limit_;
  std::array<std::vector<uint8_t>, static_cast<size_t>(FilterHook::kCount)> lists_;
};

// What the levels of a route say of its filters, the most specific first: of the weighted cluster,
// the route, the virtual host, the table; then null.
using FilterLevels = std::array<const route::FilterOverrides*, 5>;

inline FilterLevels filter_levels(const route::RouteMatch& match) {
  FilterLevels levels{};
  if (!match) return levels;
  size_t count = 0;
  const auto add = [&](const route::FilterOverrides* level) {
    if (level != nullptr) levels[count++] = level;
  };
  if (match.weighted != nullptr) add(match.weighted->filters.get());
  add(match.route->filters.get());
  add(match.host->filters.get());
  add(match.host->table->filters());
  return levels;
}

// What becomes of a filter on such a route.
struct FilterUse {
  const route::FilterRouteConfig* config = nullptr;  // null: the factory's holds
  bool is_disabled = false;
};

// The most specific level that names a filter decides whether it is disabled, the most specific one
// that configures it, how it is configured.
inline FilterUse use_of(const HttpFilterChain::Entry& entry, const FilterLevels& levels) {
  FilterUse use{nullptr, entry.disabled};
  bool is_decided = false;
  for (size_t i = 0; levels[i] != nullptr; ++i) {
    for (const route::FilterOverride& override : *levels[i]) {
      if (override.filter != entry.name) continue;
      if (!std::exchange(is_decided, true)) use.is_disabled = override.disabled;
      if (use.config == nullptr && override.type == entry.type) use.config = override.config.get();
    }
  }
  return use;
}

}  // namespace pillion::core
