#include "proxy/builder/used_addresses.h"

#include "proxy/base/str.h"
#include "proxy/config/suggest.h"

namespace pillion {

using config::Node;

// A second listener on a port would take half of its connections, or none.
std::vector<UsedAddresses::Clash> UsedAddresses::take(const core::ListenerConfig& listener) {
  std::vector<Clash> clashes;
  if (!listener.bind_to_port) return clashes;
  const auto use = [&](const io::Address& address, int additional) {
    if (address.kind() == io::Address::Kind::kNone) return;
    if (address.is_ip() && address.port() == 0) return;  // each gets a port of its own
    const auto [it, is_new] = used_.emplace(address.to_string(), listener.name);
    if (is_new) return;
    clashes.push_back({additional, str("listener \"", config::printable(it->second),
                                       "\" listens on ", it->first, " already")});
  };
  use(listener.address, -1);
  int i = 0;
  for (const io::Address& more : listener.additional_addresses) use(more, i++);
  return clashes;
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
