#include "proxy/core/chain_line.h"

#include <utility>

#include "proxy/base/assert.h"
#include "proxy/core/network_filter.h"
#include "proxy/core/worker_context.h"

namespace pillion::core {
namespace {

template <typename Config>
const Config* terminal_of(const FilterChain& chain) {
  const auto* terminal = std::get_if<std::shared_ptr<const Config>>(&chain.terminal);
  return terminal == nullptr ? nullptr : terminal->get();
}

// The list is as long for the whole line; ECDS may have replaced one of it.
FilterWorkerStates network_states(const WorkerContext& worker, const FilterChain& chain,
                                  const ChainState* former) {
  FilterWorkerStates states;
  for (size_t i = 0; i < chain.network_filters.size(); ++i) {
    const auto& filter = chain.network_filters[i];
    const bool goes_on = former != nullptr && i < former->network_filters.size() &&
                         filter == former->chain->network_filters[i];
    states.push_back(
        goes_on ? former->network_filters[i]
                : Ref(filter->make_worker_state({worker.registry, worker.index, {}}).release()));
  }
  return states;
}

}  // namespace

ChainState::ChainState(const WorkerContext& worker,
                       const std::shared_ptr<const FilterChain>& configured,
                       const ChainState* former)
    : chain(configured),
      http(terminal_of<HcmConfig>(*chain)),
      tcp(terminal_of<TcpProxyConfig>(*chain)),
      network_filters(network_states(worker, *chain, former)) {
  if (http == nullptr || http->filters == nullptr) return;
  const FilterWorkerSetup setup{worker.registry, worker.index, http->stat_prefix};
  const HttpFilterChain* before =
      former == nullptr || former->http == nullptr ? nullptr : former->http->filters.get();
  filters = before == nullptr ? http->filters->make_worker_states(setup)
                              : http->filters->make_worker_states(setup, *before, former->filters);
}

ChainLine::ChainLine(const WorkerContext& worker, const ListenerConfig& listener,
                     const std::shared_ptr<const FilterChain>& chain)
    : name(chain->name) {
  go_on(make_ref<ChainState>(worker, chain, nullptr));
  stats::Registry& registry = worker.registry;
  if (const HcmConfig* hcm = newest->http) {
    http = registry.block<stats::HttpStats>(worker.index, hcm->stat_prefix);
    http1 = registry.block<stats::Http1Stats>(worker.index);
    http2 = registry.block<stats::Http2Stats>(worker.index);
    listener_http = registry.block<stats::ListenerHttpStats>(worker.index, listener.stat_name,
                                                             hcm->stat_prefix);
  } else if (newest->tcp != nullptr) {
    tcp = registry.block<stats::TcpStats>(worker.index, newest->tcp->stat_prefix);
  }
}

void ChainLine::go_on(Ref<ChainState> state) {
  DASSERT(state->chain->name == name);
  newest = std::move(state);
  if (newest->http != nullptr) head_limits = newest->http->head_limits;
}

}  // namespace pillion::core
