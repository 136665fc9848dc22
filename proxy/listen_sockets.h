#pragma once
// The sockets of one listener, one for each worker.  Bound by control before a change of
// configuration is committed, so that an address in use refuses the change; owned by the workers'
// acceptors once the change is applied, and listening from then on (io/acceptor.h says why).

#include <cstdint>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/core/listener_config.h"
#include "proxy/io/address.h"

namespace pillion {

struct ListenSockets {
  io::Address address;       // as bound: port 0 is resolved
  std::vector<int> sockets;  // -1 each for a listener that does not bind
};

// `is_ours`: an older listener of this process has the address; without it the address is first
// tried without SO_REUSEPORT, or two processes would share it in silence.
Result<ListenSockets> open_listen_sockets(const core::ListenerConfig& listener, uint32_t workers,
                                          bool is_ours);
void close_listen_sockets(const ListenSockets& sockets) noexcept;

}  // namespace pillion
