#pragma once
// HttpFilterChain: the http_filters of a connection manager without the router, compiled: for each
// hook the filters that have it, in the order in which they are called.  Immutable, shared by
// workers.

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "proxy/core/http_filter.h"

namespace pillion::core {

// Of one chain on one worker, in the order of its filters.
using FilterWorkerStates = std::vector<std::unique_ptr<FilterWorkerState>>;

class HttpFilterChain {
 public:
  static constexpr size_t kMaxFilters = 64;
  static constexpr uint32_t kDefaultBufferLimit = 1024 * 1024;

  struct Entry {
    std::string name;  // in http_filters; what typed_per_filter_config calls it
    std::shared_ptr<const HttpFilterFactory> factory;
    bool disabled = false;       // unless a route enables it
    const void* type = nullptr;  // as FilterOverride::type
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

 private:
  std::vector<Entry> entries_;
  uint32_t buffer_limit_;
  std::array<std::vector<uint8_t>, static_cast<size_t>(FilterHook::kCount)> lists_;
};

}  // namespace pillion::core
