#include "proxy/core/chain_matcher.h"

#include <algorithm>
#include <string>

#include "proxy/core/chain_index.h"

namespace pillion::core {
namespace {

using ChainPtr = const std::shared_ptr<const FilterChain>*;
using Candidates = std::vector<ChainPtr>;

// Keeps the candidates with the highest rank; rank 0 is "does not match".
template <typename Rank>
void keep_best(Candidates& candidates, Rank rank) {
  int best = 0;
  for (ChainPtr c : candidates) best = std::max(best, rank((*c)->match));
  std::erase_if(candidates, [&](ChainPtr c) { return best == 0 || rank((*c)->match) != best; });
}

// 1 for no restriction, more for longer prefixes that contain the address.
int prefix_rank(const std::vector<match::Cidr>& prefixes, const io::Address& address) {
  if (prefixes.empty()) return 1;
  int best = 0;
  for (const match::Cidr& prefix : prefixes) {
    if (prefix.contains(address)) best = std::max(best, 2 + static_cast<int>(prefix.length()));
  }
  return best;
}

// Exact name, then the longest "*.suffix", then none.
int server_name_rank(const std::vector<std::string>& names, std::string_view sni) {
  if (names.empty()) return 1;
  int best = 0;
  for (const std::string& name : names) {
    if (name == sni && !sni.empty()) return 1 << 20;
    if (name.starts_with("*.") && sni.size() > name.size() - 1 &&
        sni.ends_with(std::string_view(name).substr(1))) {
      best = std::max(best, 1 + static_cast<int>(name.size()));
    }
  }
  return best;
}

int alpn_rank(const std::vector<std::string>& wanted,
              const std::vector<std::string_view>& offered) {
  if (wanted.empty()) return 1;
  for (const std::string& name : wanted) {
    if (std::find(offered.begin(), offered.end(), name) != offered.end()) return 2;
  }
  return 0;
}

bool same_ip(const io::Address& a, const io::Address& b) {
  return a.kind() == b.kind() && std::equal(a.ip_bytes(), a.ip_bytes() + 16, b.ip_bytes());
}

int source_type_rank(FilterChainMatch::SourceType type, const ConnectionInfo& c) {
  using Type = FilterChainMatch::SourceType;
  if (type == Type::kAny) return 1;
  const bool local = c.remote.is_loopback() || same_ip(c.remote, c.local);
  return local == (type == Type::kSameIpOrLoopback) ? 2 : 0;
}

int source_port_rank(const std::vector<uint16_t>& ports, uint16_t port) {
  if (ports.empty()) return 1;
  return std::find(ports.begin(), ports.end(), port) != ports.end() ? 2 : 0;
}

}  // namespace

const std::shared_ptr<const FilterChain>* match_chain(const ListenerConfig& listener,
                                                      const ConnectionInfo& connection,
                                                      const Sniffed& sniffed) {
  // The common listener: one chain that takes everything.
  if (listener.chains.size() == 1 && listener.chains.front()->match.matches_everything)
    return &listener.chains.front();
  Candidates left;
  const uint16_t port = connection.local.port();
  bool has_names = false;
  if (listener.chain_index != nullptr) {
    const ChainIndex::Candidates found = listener.chain_index->find(port, sniffed.server_name);
    left.reserve(found.chains.size());
    for (const uint32_t place : found.chains) left.push_back(&listener.chains[place]);
    has_names = found.has_names;
  } else {
    left.reserve(listener.chains.size());
    for (const auto& chain : listener.chains) left.push_back(&chain);
    keep_best(left, [&](const FilterChainMatch& m) {
      return m.destination_port == 0 ? 1 : m.destination_port == port ? 2 : 0;
    });
  }
  if (!has_names) {
    keep_best(left, [&](const FilterChainMatch& m) {
      return prefix_rank(m.destination, connection.local);
    });
    keep_best(left, [&](const FilterChainMatch& m) {
      return server_name_rank(m.server_names, sniffed.server_name);
    });
  }
  keep_best(left, [&](const FilterChainMatch& m) {
    if (m.transport_protocol.empty()) return 1;
    return (m.transport_protocol == "tls") == sniffed.is_tls ? 2 : 0;
  });
  keep_best(left, [&](const FilterChainMatch& m) {
    return alpn_rank(m.application_protocols, sniffed.alpn);
  });
  keep_best(left, [&](const FilterChainMatch& m) {
    return prefix_rank(m.direct_source, connection.direct_remote());
  });
  keep_best(left,
            [&](const FilterChainMatch& m) { return source_type_rank(m.source_type, connection); });
  keep_best(left,
            [&](const FilterChainMatch& m) { return prefix_rank(m.source, connection.remote); });
  keep_best(left, [&](const FilterChainMatch& m) {
    return source_port_rank(m.source_ports, connection.remote.port());
  });
  if (!left.empty()) return left.front();
  return listener.default_chain ? &listener.default_chain : nullptr;
}

Inspectors inspectors_of(const ListenerConfig& listener, uint16_t port) {
  return {listener.tls_inspector && !listener.tls_inspector_off.contains(port),
          listener.http_inspector && !listener.http_inspector_off.contains(port)};
}

bool needs_sniffing(const ListenerConfig& listener, uint16_t port) {
  const Inspectors inspectors = inspectors_of(listener, port);
  if (!inspectors.tls && !inspectors.http) return false;
  if (listener.chain_index != nullptr) return listener.chain_index->needs_inspection();
  return std::any_of(listener.chains.begin(), listener.chains.end(), [](const auto& chain) {
    const FilterChainMatch& m = chain->match;
    return !m.server_names.empty() || !m.transport_protocol.empty() ||
           !m.application_protocols.empty();
  });
}

}  // namespace pillion::core
