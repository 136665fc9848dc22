#pragma once
// What a configuration needs of a control plane by name, and for whom: endpoints (EDS) and route
// tables (RDS).  Kept by difference, so that one change among ten thousand clusters, or scopes,
// looks at no other: an index leads from such a name back to those who use it.
//
// Owned by control (proxy/control/control_plane.h):
//
//   use(before, now) -> the names for which something may be otherwise now
//     wanted(now, names), users(now, names)          with the same `now`; views of it
//
// The first `before` is of no pieces at all; each further one is the `now` of the call before.
// wanted_endpoints(), wanted_routes() ... (settle.h) find the same by looking at all.

#include <map>
#include <set>
#include <string>

#include "proxy/builder/resources.h"
#include "proxy/builder/update_stats.h"
#include "proxy/builder/wanted.h"

namespace pillion {

// Name that is asked for -> names of the control plane's pieces that ask for it.
class AskersByName {
 public:
  void add(const std::string& name, std::string_view asker) { askers_[name].emplace(asker); }
  void drop(const std::string& name, std::string_view asker);
  // In the order of their names; empty if nobody asks.
  [[nodiscard]] const Names& of(std::string_view name) const;

 private:
  std::map<std::string, Names, std::less<>> askers_;
};

class EndpointNeeds {
 public:
  Names use(const Resources& before, const Resources& now);
  [[nodiscard]] WantedNames wanted(const Resources& now, const Names& names) const;
  [[nodiscard]] ResourceUsers users(const Resources& now, const Names& names) const;

 private:
  template <typename Fn>
  void for_each_user(const Resources& now, const Names& names, Fn&& fn) const;

  // Nearly all clusters are called like their endpoints, and need no entry.
  AskersByName called_otherwise_;
};

class RouteNeeds {
 public:
  Names use(const Resources& before, const Resources& now);
  [[nodiscard]] WantedNames wanted(const Resources& now, const Names& names) const;
  [[nodiscard]] ResourceUsers users(const Resources& now, const Names& names) const;
  // Those that no listener or scope names, whether requests ask for them or not.
  [[nodiscard]] Names unnamed(const Resources& now, const Names& names) const;

 private:
  [[nodiscard]] bool is_named_by_scope(const Resources& now, const std::string& name) const;

  AskersByName scopes_;
};

}  // namespace pillion
