#include "proxy/discovery/dns_answer.h"

#include <algorithm>

namespace pillion::discovery {

using upstream::DnsFamily;

io::DnsFamilies families_to_ask(DnsFamily family) noexcept {
  return {family != DnsFamily::kV6Only, family != DnsFamily::kV4Only};
}

bool KnownAddresses::update(const io::DnsAnswer& answer) {
  bool found = false;
  bool failed = false;
  const auto take = [&](const io::DnsFamilyAnswer& from, std::vector<io::Address>& to) {
    if (from.status == io::DnsStatus::kNotAsked) return;
    failed = failed || from.status == io::DnsStatus::kFailed;
    if (from.status == io::DnsStatus::kFailed) return;
    to.clear();
    for (const io::DnsRecord& record : from.records) to.push_back(record.address);
    found = found || !to.empty();
  };
  take(answer.v4, v4_);
  take(answer.v6, v6_);
  return failed && !found;
}

std::vector<io::Address> KnownAddresses::choose(DnsFamily family) const {
  switch (family) {
    case DnsFamily::kAuto:
      return v6_.empty() ? v4_ : v6_;
    case DnsFamily::kV4Preferred:
      return v4_.empty() ? v6_ : v4_;
    case DnsFamily::kV4Only:
      return v4_;
    case DnsFamily::kV6Only:
      return v6_;
    case DnsFamily::kAll:
      break;
  }
  std::vector<io::Address> all = v4_;
  all.insert(all.end(), v6_.begin(), v6_.end());
  return all;
}

Duration shortest_ttl(const io::DnsAnswer& answer) noexcept {
  Duration shortest{};
  for (const auto* family : {&answer.v4, &answer.v6}) {
    for (const io::DnsRecord& record : family->records) {
      if (record.ttl == Duration{}) continue;
      shortest =
          shortest == Duration{} ? Duration(record.ttl) : std::min<Duration>(shortest, record.ttl);
    }
  }
  return shortest;
}

void keep_places(std::vector<io::Address>& current, std::vector<io::Address> next, uint16_t port) {
  for (io::Address& address : next) address.set_port(port);
  std::erase_if(current,
                [&next](const io::Address& a) { return std::ranges::find(next, a) == next.end(); });
  for (const io::Address& address : next) {
    if (std::ranges::find(current, address) == current.end()) current.push_back(address);
  }
}

}  // namespace pillion::discovery
