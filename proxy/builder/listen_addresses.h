#pragma once
// Where listeners listen, and whether this machine lets others have their addresses.  The builder
// asks before it accepts a listener, control before it opens sockets.
//
// An address is given by the kernel, so that it can be had now and not later, or the other way: an
// answer is good for the moment.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/builder/used_addresses.h"
#include "proxy/core/listener_config.h"
#include "proxy/io/address.h"

namespace pillion {

// Listeners that were stopped for good (/drain_listeners): those that come later get no sockets.
enum class StoppedListeners : uint8_t { kNone, kInbound, kAll };
[[nodiscard]] bool is_stopped(StoppedListeners stopped, const core::ListenerConfig& listener);

// Accepted listeners that could not have their addresses: name -> socket_hash of what was tried.
// They wait; another address under the same name may be tried at once.
using HeldListeners = std::map<std::string, uint64_t, std::less<>>;
[[nodiscard]] bool is_held(const HeldListeners& held, const core::ListenerConfig& listener);

struct BindAddress {
  io::Address address;
  int additional = -1;  // its place in additional_addresses; -1: it is the first address
};
// Those that a listener binds: none without bind_to_port, and none that lacks_family().
[[nodiscard]] std::vector<BindAddress> addresses_to_bind(const core::ListenerConfig& listener);
// Those of them that nobody else gets: on port 0 each listener gets a port of its own.
[[nodiscard]] std::vector<io::Address> own_addresses(const core::ListenerConfig& listener);
// One that only a machine with IPv6 has (:: and ::1), on one without.
[[nodiscard]] bool lacks_family(const io::Address& address);

// Configured addresses of listeners that listen; those whose port the kernel chose are not among
// them, for others must not share these.
class OurAddresses {
 public:
  struct Owner {
    std::string listener;
    bool shares = false;  // sockets of a successor may be bound beside its own (SO_REUSEPORT)
  };
  void add(const core::ListenerConfig& listener);
  // Null: none of ours has it.
  [[nodiscard]] const Owner* find(const io::Address& address) const;
  // Sockets of the listener can be bound beside ours that have the address, or, where one of them
  // is for all addresses of the machine, its port.
  [[nodiscard]] bool may_share(const io::Address& address,
                               const core::ListenerConfig& listener) const;

 private:
  std::unordered_map<io::Address, Owner, io::Address::Hash> owners_;
  // Do all share it?  By family and port, and of them those for all addresses.
  std::map<std::pair<io::Address::Kind, uint16_t>, bool> ports_;
  std::map<std::pair<io::Address::Kind, uint16_t>, bool> any_ports_;
};

// Binds and lets go again, without SO_REUSEPORT, or two processes would share the address in
// silence.  A sentence why not.
Status<> try_address(const io::Address& address, io::ListenOptions options);
// Of the addresses of a listener those that it cannot have.  What ours have is not tried: who of
// them may have it is for others to see to (build_clashes.cc).
std::vector<UsedAddresses::Clash> try_addresses(const core::ListenerConfig& listener,
                                                const OurAddresses& ours);

}  // namespace pillion
