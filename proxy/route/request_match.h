#pragma once
// RequestMatch: envoy.config.route.v3.RouteMatch on its own, for filters whose rules are told apart
// as routes are.  Immutable.

#include <memory>
#include <string_view>
#include <utility>

#include "proxy/route/conditions.h"
#include "proxy/route/path_matcher.h"

namespace pillion::route {

class RequestMatch {
 public:
  // Matches every request.
  RequestMatch() = default;
  RequestMatch(PathMatcher path, std::unique_ptr<const RouteConditions> conditions)
      : path_(std::move(path)), conditions_(std::move(conditions)) {}

  // `path` is the one that routes see (RouteTable::matched_path); `random` decides about a share of
  // requests.  CONNECT has no path, and "OPTIONS *" asks about the server as a whole: a rule for
  // all requests leaves neither out.  What holds for everything below "/" holds for them, but not
  // what is said of "/" alone.
  [[nodiscard]] bool matches(const http::RequestHead& head, std::string_view path,
                             uint64_t random) const;

 private:
  PathMatcher path_;
  std::unique_ptr<const RouteConditions> conditions_;
};

// Closes the mapping.
RequestMatch parse_request_match(const config::Node& match);

}  // namespace pillion::route
