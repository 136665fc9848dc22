#pragma once
// ChainHeirs: for a filter chain of an older configuration of a listener the one of the newer that
// its connections may go on under.  Lives for one update; borrows the listener.

#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include "proxy/core/chain_index.h"
#include "proxy/core/listener_config.h"

namespace pillion::core {

class ChainHeirs {
 public:
  using Chain = std::shared_ptr<const FilterChain>;

  explicit ChainHeirs(const ListenerConfig& listener) : listener_(listener) {
    if (listener.chains.size() < ChainIndex::kMinChains) return;
    for (const Chain& chain : listener.chains)
      by_hash_.try_emplace({chain->connection_hash, chain->name}, &chain);
  }

  // Null if there is none.
  [[nodiscard]] const Chain* of(const FilterChain& old) const {
    const auto fits = [&old](const Chain& c) {
      return c != nullptr && c->name == old.name && c->connection_hash == old.connection_hash;
    };
    // The default chain last: where a listed one is like it, new connections take that one.
    if (by_hash_.empty()) {
      for (const Chain& chain : listener_.chains)
        if (fits(chain)) return &chain;
    } else if (const auto it = by_hash_.find({old.connection_hash, old.name});
               it != by_hash_.end()) {
      return it->second;
    }
    return fits(listener_.default_chain) ? &listener_.default_chain : nullptr;
  }

 private:
  const ListenerConfig& listener_;
  std::map<std::pair<uint64_t, std::string_view>, const Chain*> by_hash_;  // of many chains
};

}  // namespace pillion::core
