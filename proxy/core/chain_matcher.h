#pragma once
// ChainMatcher: which filter chain a new connection gets (FilterChainMatch; envoy.md 1.2).
//
// Steps in Envoy's order: destination port, destination IP, server name, transport protocol, ALPN,
// direct source IP, source type, source IP, source port.  At each step only the chains with the
// most specific match stay; there is no backtracking.  Immutable; built with its listener.

#include <string_view>
#include <vector>

#include "proxy/core/listener_config.h"
#include "proxy/core/stream_info.h"

namespace pillion::core {

// What inspection learned of a connection before its chain is chosen.
struct Sniffed {
  bool is_tls = false;
  std::string_view server_name{};        // lower case
  std::vector<std::string_view> alpn{};  // offered by a ClientHello, or found by http_inspector
  std::string_view first_bytes{};        // all that was read; empty if nobody looked
};

// The chain, the listener's default chain, or null.
const std::shared_ptr<const FilterChain>* match_chain(const ListenerConfig& listener,
                                                      const ConnectionInfo& connection,
                                                      const Sniffed& sniffed);

// Which inspectors look at a connection to this port.
struct Inspectors {
  bool tls = false;
  bool http = false;
};
Inspectors inspectors_of(const ListenerConfig& listener, uint16_t port);

// Could the chain of a connection to this port depend on what only inspection can tell?
bool needs_sniffing(const ListenerConfig& listener, uint16_t port);

}  // namespace pillion::core
