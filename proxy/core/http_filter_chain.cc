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
  for (const Entry& entry : entries_) states.push_back(entry.factory->make_worker_state(setup));
  return states;
}

}  // namespace pillion::core
