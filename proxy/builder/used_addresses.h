#pragma once
// UsedAddresses: who listens where, so that no two listeners claim one address.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "proxy/config/node.h"
#include "proxy/core/listener_config.h"

namespace pillion {

// Addresses on which a listener listens -> its name.
class UsedAddresses {
 public:
  void add(std::string address, std::string name) {
    used_.emplace(std::move(address), std::move(name));
  }
  // An address of the listener that another has: its own (-1) or one of the additional ones.
  struct Clash {
    int additional = -1;
    std::string text;
  };
  // Takes the listener's, and tells of those that others have.
  std::vector<Clash> take(const core::ListenerConfig& listener);
  // Errors at the places of these addresses.
  static void report(const std::vector<Clash>& clashes, const config::Node& listener);

 private:
  std::map<std::string, std::string> used_;
};

}  // namespace pillion
