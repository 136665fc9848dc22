#pragma once
// The sockets of one listener, for each worker one on each of its addresses.  Bound by control
// before a change of configuration is committed, so that a listener whose address is in use waits;
// owned by the workers' acceptors once the change is applied.  They listen at once, which keeps
// others off the address, but for those that take the place of older ones of this process, from
// which they would take clients too early (io/acceptor.h).

#include <cstdint>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/builder/listen_addresses.h"
#include "proxy/core/listener_config.h"
#include "proxy/io/address.h"

namespace pillion {

struct ListenSockets {
  std::vector<io::Address> addresses;  // as bound: port 0 is resolved
  // [worker]: in the order of `addresses`; empty for a listener that does not bind.
  std::vector<std::vector<int>> sockets;
};

// `ours`: of the listeners in force; any other address is first tried without SO_REUSEPORT, or two
// processes would share it in silence.
//
// Of the additional addresses, those that only a machine with IPv6 has (:: and ::1) are left out
// where there is none: nobody could call them, and one configuration serves all machines.
Result<ListenSockets> open_listen_sockets(const core::ListenerConfig& listener, uint32_t workers,
                                          const OurAddresses& ours);
void close_listen_sockets(const ListenSockets& sockets) noexcept;

}  // namespace pillion
