#pragma once
// What the answers of DNS for one name come to.

#include <vector>

#include "proxy/base/clock.h"
#include "proxy/io/resolver.h"
#include "proxy/upstream/cluster_config.h"

namespace pillion::discovery {

io::DnsFamilies families_to_ask(upstream::DnsFamily family) noexcept;

// The addresses of a name by family, as of the last answers that told.
class KnownAddresses {
 public:
  // True if the lookup failed: no family could be asked, or none that could has an address.  Then
  // what was known of the families that could not be asked still holds.
  bool update(const io::DnsAnswer& answer);
  // Those to use.  AUTO prefers IPv6, V4_PREFERRED IPv4: the other family counts only without any.
  [[nodiscard]] std::vector<io::Address> choose(upstream::DnsFamily family) const;

 private:
  std::vector<io::Address> v4_;
  std::vector<io::Address> v6_;
};

// Of all records found; 0 if none has one.
Duration shortest_ttl(const io::DnsAnswer& answer) noexcept;

// Makes `current` the addresses of `next`, with `port`; those in both keep their places before new
// ones.
void keep_places(std::vector<io::Address>& current, std::vector<io::Address> next, uint16_t port);

}  // namespace pillion::discovery
