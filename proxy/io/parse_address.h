#pragma once
// Addresses and socket options of Envoy's configuration (envoy.config.core.v3).  Errors go to the
// node's error list; the result is then an address of kind kNone.

#include <cstdint>
#include <string>

#include "proxy/config/node.h"
#include "proxy/io/address.h"
#include "proxy/io/socket.h"

namespace pillion::io {

// Address: `socket_address` with an IP address (TCP only), or `pipe` (a path, or "@name" in the
// abstract namespace).  `unix_mode` takes the pipe's mode if it has one; to connect it means
// nothing.
Address parse_address(const config::Node& address, uint32_t* unix_mode = nullptr);

// Where an endpoint of a cluster is: `ip` (or a Unix path), or, if that is kNone, a name for DNS.
struct EndpointAddress {
  Address ip;
  std::string name;
  uint16_t port = 0;
};
EndpointAddress parse_endpoint_address(const config::Node& address);

// TcpKeepalive: present without values means on, with the kernel's values; missing, or a value of
// 0, means off.  Fills only the keepalive fields.
SocketOptions parse_tcp_keepalive(const config::Node& tcp_keepalive);

}  // namespace pillion::io
