#pragma once
// RouteConditions: what a route asks of a request besides its path.  Immutable.

#include <cstdint>
#include <string>
#include <vector>

#include "proxy/config/scalars.h"
#include "proxy/http/message.h"
#include "proxy/match/header_value.h"
#include "proxy/match/parameters.h"

namespace pillion::route {

struct RouteConditions {
  std::vector<match::HeaderMatcher> headers;
  std::vector<match::QueryParameterMatcher> query_parameters;
  std::vector<match::CookieMatcher> cookies;
  config::Fraction fraction{100, 100};  // of all requests
  bool grpc = false;                    // only gRPC requests

  // All of them; `random` decides about the fraction.
  [[nodiscard]] bool hold(const http::RequestHead& head, uint64_t random) const;
  // For people: the first that does not hold, or empty.
  [[nodiscard]] std::string why_not(const http::RequestHead& head, uint64_t random) const;
  // For people: all of them; empty if there are none.
  [[nodiscard]] std::string describe() const;
};

}  // namespace pillion::route
