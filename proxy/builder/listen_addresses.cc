#include "proxy/builder/listen_addresses.h"

#include <unistd.h>

#include "proxy/base/str.h"
#include "proxy/io/acceptor.h"
#include "proxy/io/original_dst.h"

namespace pillion {
namespace {

bool can_share(const io::Address& address, const core::ListenerConfig& listener) {
  return address.is_ip() && listener.options.reuse_port;
}

}  // namespace

bool is_stopped(StoppedListeners stopped, const core::ListenerConfig& listener) {
  using Direction = core::ListenerConfig::Direction;
  if (stopped == StoppedListeners::kInbound) return listener.direction == Direction::kInbound;
  return stopped == StoppedListeners::kAll;
}

bool is_held(const HeldListeners& held, const core::ListenerConfig& listener) {
  const auto it = held.find(listener.name);
  return it != held.end() && it->second == listener.socket_hash;
}

bool lacks_family(const io::Address& address) {
  const bool needs_ipv6 =
      address.kind() == io::Address::Kind::kIpv6 && (address.is_any() || address.is_loopback());
  return needs_ipv6 && !io::is_own_ip(address);
}

std::vector<BindAddress> addresses_to_bind(const core::ListenerConfig& listener) {
  std::vector<BindAddress> wanted;
  if (!listener.bind_to_port) return wanted;
  wanted.push_back({listener.address});
  int i = 0;
  for (const io::Address& more : listener.additional_addresses) {
    if (!lacks_family(more)) wanted.push_back({more, i});
    ++i;
  }
  return wanted;
}

std::vector<io::Address> own_addresses(const core::ListenerConfig& listener) {
  std::vector<io::Address> own;
  for (const auto& [address, additional] : addresses_to_bind(listener))
    if (!address.is_ip() || address.port() != 0) own.push_back(address);
  return own;
}

void OurAddresses::add(const core::ListenerConfig& listener) {
  for (const io::Address& address : own_addresses(listener)) {
    const bool shares = can_share(address, listener);
    owners_.try_emplace(address, Owner{listener.name, shares});
    if (!address.is_ip()) continue;
    const auto note = [&](auto& ports) {
      const auto [it, is_new] = ports.try_emplace({address.kind(), address.port()}, shares);
      it->second &= shares;
    };
    note(ports_);
    if (address.is_any()) note(any_ports_);
  }
}

const OurAddresses::Owner* OurAddresses::find(const io::Address& address) const {
  const auto it = owners_.find(address);
  return it == owners_.end() ? nullptr : &it->second;
}

bool OurAddresses::may_share(const io::Address& address,
                             const core::ListenerConfig& listener) const {
  if (!can_share(address, listener)) return false;
  if (const Owner* owner = find(address); owner != nullptr) return owner->shares;
  const auto& ports = address.is_any() ? ports_ : any_ports_;
  const auto it = ports.find({address.kind(), address.port()});
  return it != ports.end() && it->second;
}

Status<> try_address(const io::Address& address, io::ListenOptions options) {
  options.reuse_port = false;
  const Result<int> fd = io::bind_listener(address, options);
  if (!fd) return Error<std::string>{fd.error()};
  ::close(*fd);
  // bind() has made the file.
  const bool is_file = !address.is_ip() && !address.path().starts_with('@');
  if (is_file) ::unlink(std::string(address.path()).c_str());
  return Ok{};
}

std::vector<UsedAddresses::Clash> try_addresses(const core::ListenerConfig& listener,
                                                const OurAddresses& ours) {
  std::vector<UsedAddresses::Clash> wrong;
  for (const auto& [address, additional] : addresses_to_bind(listener)) {
    const OurAddresses::Owner* owner = ours.find(address);
    if (owner == nullptr) {
      if (ours.may_share(address, listener)) continue;
      if (Status<> tried = try_address(address, listener.options); !tried)
        wrong.push_back({additional, tried.error()});
      continue;
    }
    const bool is_its_own = owner->listener == listener.name;
    if (is_its_own && !ours.may_share(address, listener)) {
      wrong.push_back({additional, str("cannot bind ", address.to_string(),
                                       " anew: the listener in force has it, and without "
                                       "enable_reuse_port two sockets cannot")});
    }
  }
  return wrong;
}

}  // namespace pillion
