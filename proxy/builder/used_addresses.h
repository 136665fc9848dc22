#pragma once
// UsedAddresses: who listens where, so that no two listeners claim one address.

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "proxy/config/node.h"
#include "proxy/core/listener_config.h"

namespace pillion {

// Addresses on which a listener listens -> who does.  The listeners outlive it.
class UsedAddresses {
 public:
  void add(std::string address, std::string name) {
    used_.emplace(std::move(address), Owner{std::move(name), nullptr});
  }
  // An address of the listener that cannot be had: its own (-1) or one of the additional ones.
  struct Clash {
    int additional = -1;
    std::string text;
  };
  // Takes the listener's, and tells of those that others have.
  std::vector<Clash> take(const core::ListenerConfig& listener);
  // Frees those that the listener has.
  void drop(const core::ListenerConfig& listener);
  using Listeners = std::set<const core::ListenerConfig*>;
  // Takes the listener's, also from any of `weaker`; those that have lost one.
  Listeners take_from(const Listeners& weaker, const core::ListenerConfig& listener);
  // Errors at the places of these addresses.
  static void report(const std::vector<Clash>& clashes, const config::Node& listener);

 private:
  struct Owner {
    std::string name;
    const core::ListenerConfig* listener;  // null: none of them
  };
  std::map<std::string, Owner> used_;
};

}  // namespace pillion
