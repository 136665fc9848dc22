#pragma once
// WantedHosts: what VHDS is asked for: all that the server thinks we need ("*"), once any route
// table has VHDS, and the virtual hosts that requests want of these tables.
//
// Owned by the ControlPlane.  Both calls return the names (of wanted(), "*" among them) that have
// come, gone or changed, at the price of these alone.

#include <map>
#include <set>
#include <string>

#include "proxy/builder/resources.h"
#include "proxy/builder/wanted.h"

namespace pillion {

class WantedHosts {
 public:
  using Requested = std::set<std::string>;  // RouteRequests::virtual_hosts()

  // The first `before` is of no pieces at all; each further one is the `now` of the call before.
  // `tables`: gets those that have VHDS since, or have it no more, or otherwise.
  Names use(const Resources& before, const Resources& now, const Requested& requested,
            Names& tables);
  // These may have come to what is requested, or gone.
  Names change(const Names& names, const Requested& requested);
  [[nodiscard]] const WantedNames& wanted() const noexcept { return wanted_; }

 private:
  // False: nothing has changed.
  bool set_table(std::string_view name, const Piece<CompiledRoutes>* piece);
  bool set(const std::string& name, const Wanted* how);

  // With VHDS, the newest or that in force.  All have the same source (source_claims.h).
  std::map<std::string, Wanted, std::less<>> tables_;
  WantedNames wanted_;
};

}  // namespace pillion
