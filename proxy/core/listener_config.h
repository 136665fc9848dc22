#pragma once
// A listener as configured, compiled: immutable, shared by workers (config.listener.v3.Listener).

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "proxy/core/extension.h"
#include "proxy/core/hcm_config.h"
#include "proxy/core/port_set.h"
#include "proxy/core/tcp_proxy_config.h"
#include "proxy/io/acceptor.h"
#include "proxy/match/cidr.h"

namespace pillion::tls {
class ContextSlot;
}

namespace pillion::core {

class ChainIndex;

// FilterChainMatch.  Order of the steps and "most specific wins, no backtracking": envoy.md 1.2.
struct FilterChainMatch {
  uint16_t destination_port = 0;  // 0: any
  std::vector<match::Cidr> destination;
  std::vector<std::string> server_names;  // lower case; "*.a.b" for suffixes
  std::string transport_protocol;         // "", "raw_buffer", "tls"
  std::vector<std::string> application_protocols;
  std::vector<match::Cidr> direct_source;
  enum class SourceType : uint8_t {
    kAny,
    kSameIpOrLoopback,
    kExternal
  } source_type = SourceType::kAny;
  std::vector<match::Cidr> source;
  std::vector<uint16_t> source_ports;
  bool matches_everything = false;  // no step restricts it; set by the parser
};

// One of a chain's network filters that comes by ECDS.
struct DiscoveredNetworkFilter {
  size_t index = 0;  // in network_filters
  std::shared_ptr<const NetworkDiscovery> discovery;
  uint64_t hash = 0;  // as NetworkExtension::hash
};

struct FilterChain {
  std::string name;
  FilterChainMatch match;
  std::shared_ptr<const tls::ContextSlot> tls;  // null: plain text
  Duration transport_socket_connect_timeout{};  // TLS handshake; 0: the server's default of 10 s
  std::vector<std::shared_ptr<const NetworkFilter>> network_filters;  // those before the terminal
  std::vector<DiscoveredNetworkFilter> discovered;
  std::variant<std::monostate, std::shared_ptr<const HcmConfig>,
               std::shared_ptr<const TcpProxyConfig>>
      terminal;
  // Of what a live connection depends on (match, TLS, network filters; kind, codec, stat_prefix of
  // the terminal):
  // while it is equal an update of the listener keeps the connections, and their next requests take
  // the new chain.
  uint64_t connection_hash = 0;
  uint64_t own_hash = 0;  // without what comes by RDS and ECDS
  uint64_t hash = 0;      // of everything (listener_routes.h)
};

// What looks at a connection before its chain is chosen.
struct ListenerFilters {
  bool original_dst_filter = false;
  bool tls_inspector = false;
  bool http_inspector = false;
  bool lacks_config = false;  // one comes by ECDS, and nothing has come: connections are closed
  // filter_disabled of both: destination ports whose connections they do not look at.
  PortSet tls_inspector_off;
  PortSet http_inspector_off;
};

// A listener filter that comes by ECDS.
struct DiscoveredListenerFilter {
  std::shared_ptr<const ListenerFilterDiscovery> discovery;
  PortSet off;  // filter_disabled
  ListenerExtension now;
};

struct ListenerConfig : ListenerFilters {
  std::string name;
  std::string stat_name;  // listener.<this>.: stat_prefix, or the address with ':' -> '_'
  io::Address address;
  std::vector<io::Address> additional_addresses;  // it listens on these too
  io::ListenOptions options;
  std::vector<std::shared_ptr<const FilterChain>> chains;
  std::shared_ptr<const ChainIndex> chain_index;  // of many chains; null: of few
  std::shared_ptr<const FilterChain> default_chain;
  bool use_original_dst = false;  // hand over to the listener that owns the original destination
  bool bind_to_port = true;
  ListenerFilters own_filters;  // without those by ECDS (use_discovered_filters())
  std::vector<DiscoveredListenerFilter> discovered_filters;
  Duration listener_filters_timeout = std::chrono::seconds(15);
  bool continue_on_listener_filters_timeout = false;
  uint32_t per_connection_buffer_limit = 1024 * 1024;
  uint32_t max_accepts_per_event = 64;  // max_connections_to_accept_per_socket_event
  bool ignore_global_conn_limit =
      false;  // its connections are not counted against the process's budget
  enum class Direction : uint8_t {
    kUnspecified,
    kInbound,
    kOutbound
  } direction = Direction::kUnspecified;
  std::vector<std::shared_ptr<const AccessLogger>> access_logs;
  uint64_t socket_hash = 0;  // of what the listening socket depends on
  uint64_t own_hash = 0;     // without what chains have from elsewhere
  uint64_t hash = 0;         // of everything (listener_routes.h)
};

// After a change of discovered_filters: the base is own_filters and what these say now.
void use_discovered_filters(ListenerConfig& listener);

}  // namespace pillion::core
