#include "proxy/builder/used_addresses.h"

#include "proxy/base/str.h"
#include "proxy/config/suggest.h"

namespace pillion {

using config::Node;

namespace {

// Calls fn(address, its place in additional_addresses or -1) for each that nobody else may have.
template <typename Fn>
void for_each_address(const core::ListenerConfig& listener, Fn&& fn) {
  if (!listener.bind_to_port) return;
  const auto use = [&fn](const io::Address& address, int additional) {
    if (address.kind() == io::Address::Kind::kNone) return;
    if (address.is_ip() && address.port() == 0) return;  // each gets a port of its own
    fn(address.to_string(), additional);
  };
  use(listener.address, -1);
  int i = 0;
  for (const io::Address& more : listener.additional_addresses) use(more, i++);
}

}  // namespace

// A second listener on a port would take half of its connections, or none.
std::vector<UsedAddresses::Clash> UsedAddresses::take(const core::ListenerConfig& listener) {
  std::vector<Clash> clashes;
  for_each_address(listener, [&](std::string address, int additional) {
    const auto [it, is_new] =
        used_.try_emplace(std::move(address), Owner{listener.name, &listener});
    if (is_new) return;
    clashes.push_back({additional, str("listener \"", config::printable(it->second.name),
                                       "\" listens on ", it->first, " already")});
  });
  return clashes;
}

void UsedAddresses::drop(const core::ListenerConfig& listener) {
  for_each_address(listener, [&](const std::string& address, int) {
    const auto it = used_.find(address);
    if (it != used_.end() && it->second.listener == &listener) used_.erase(it);
  });
}

UsedAddresses::Listeners UsedAddresses::take_from(const Listeners& weaker,
                                                  const core::ListenerConfig& listener) {
  Listeners losers;
  for_each_address(listener, [&](std::string address, int) {
    const Owner owner{listener.name, &listener};
    const auto [it, is_new] = used_.try_emplace(std::move(address), owner);
    if (is_new || !weaker.contains(it->second.listener)) return;
    losers.insert(it->second.listener);
    it->second = owner;
  });
  return losers;
}

void UsedAddresses::report(const std::vector<Clash>& clashes, const Node& listener) {
  for (const Clash& clash : clashes) {
    if (clash.additional < 0) {
      listener["address"].error(clash.text);
      continue;
    }
    int i = 0;
    for (const Node item : listener["additional_addresses"].items())
      if (i++ == clash.additional) item["address"].error(clash.text);
  }
}

}  // namespace pillion
