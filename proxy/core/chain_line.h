#pragma once
// ChainLine: a filter chain on one worker, through all updates of its listener that keep its
// connections (an equal name and connection_hash).  ChainState: one configuration of it.
//
// Both are counted, on one thread.  A connection holds its line as long as it lives; what runs (an
// exchange, a TCP connection, one that is being refused) holds the state that it began with.  So a
// superseded configuration lives as long as something runs under it: a connection between two
// requests has no state, and reads `newest` whenever it needs one.  States do not know each other:
// what runs for days pins its own, not those that came after it.

#include <memory>
#include <string>
#include <unordered_map>

#include "proxy/base/ref.h"
#include "proxy/core/http_filter_chain.h"
#include "proxy/core/listener_config.h"
#include "proxy/stats/registry.h"

namespace pillion::core {

struct WorkerContext;

// Lives as long as any worker has connections of a chain that was taken away (drain_count.h).
using ChainDrain = std::shared_ptr<const void>;
using ChainDrains = std::unordered_map<const FilterChain*, ChainDrain>;

struct ChainState final : RefCounted<ChainState> {
  // `former`: the line's state before it; what it has of the same filters goes on.  Null: none.
  ChainState(const WorkerContext& worker, const std::shared_ptr<const FilterChain>& configured,
             const ChainState* former);

  const std::shared_ptr<const FilterChain> chain;
  // The chain's terminal: one of them, or none.
  const HcmConfig* http = nullptr;
  const TcpProxyConfig* tcp = nullptr;
  FilterWorkerStates filters;          // of `http`
  FilterWorkerStates network_filters;  // in the order of the chain's
};

struct ChainLine final : RefCounted<ChainLine> {
  ChainLine(const WorkerContext& worker, const ListenerConfig& listener,
            const std::shared_ptr<const FilterChain>& chain);

  // What begins from now on is served under `state`, whose chain has the line's name and
  // connection_hash.
  void go_on(Ref<ChainState> state);
  // A constant of the line, for connection_hash knows the chain's TLS.
  [[nodiscard]] bool is_tls() const noexcept { return newest->chain->tls != nullptr; }

  const std::string name;  // of the chain
  Ref<ChainState> newest;  // never null
  // Of `newest`.  Codecs borrow them; changed in place, so that an update need not visit
  // connections.
  http::H1Limits head_limits;
  // Of an HttpConnectionManager, else null.
  stats::BlockRef<stats::HttpStats> http;
  stats::BlockRef<stats::Http1Stats> http1;
  stats::BlockRef<stats::Http2Stats> http2;
  stats::BlockRef<stats::ListenerHttpStats> listener_http;
  stats::BlockRef<stats::TcpStats> tcp;  // of a TCP proxy, else null
  // An update took the chain away: its connections are closed then.
  Instant drain_deadline{};
  ChainDrain drain;  // until the last of them has ended
};

}  // namespace pillion::core
