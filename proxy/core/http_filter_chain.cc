#include "proxy/core/http_filter_chain.h"

#include <algorithm>
#include <utility>

namespace pillion::core {

HttpFilterChain::HttpFilterChain(std::vector<Entry> entries, uint32_t buffer_limit)
    : entries_(std::move(entries)), buffer_limit_(buffer_limit) {
  for (size_t hook = 0; hook < lists_.size(); ++hook) {
    for (size_t i = 0; i < entries_.size(); ++i) {
      if ((entries_[i].factory->hooks() >> hook & 1) != 0)
        lists_[hook].push_back(static_cast<uint8_t>(i));
    }
  }
  for (const FilterHook hook :
       {FilterHook::kResponseHead, FilterHook::kResponseBody, FilterHook::kResponseTrailers}) {
    std::ranges::reverse(lists_[static_cast<size_t>(hook)]);
  }
}

FilterWorkerStates HttpFilterChain::make_worker_states(const FilterWorkerSetup& setup) const {
  FilterWorkerStates states;
  for (const Entry& entry : entries_)
    states.emplace_back(entry.factory->make_worker_state(setup).release());
  return states;
}

FilterWorkerStates HttpFilterChain::make_worker_states(const FilterWorkerSetup& setup,
                                                       const HttpFilterChain& former,
                                                       const FilterWorkerStates& states) const {
  if (&former == this) return states;
  FilterWorkerStates out;
  for (const Entry& entry : entries_) {
    const auto same = std::ranges::find(former.entries_, entry.factory, &Entry::factory);
    if (same != former.entries_.end()) {
      out.push_back(states[static_cast<size_t>(same - former.entries_.begin())]);
    } else {
      out.emplace_back(entry.factory->make_worker_state(setup).release());
    }
  }
  return out;
}

}  // namespace pillion::core
