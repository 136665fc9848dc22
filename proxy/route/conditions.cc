#include "proxy/route/conditions.h"

#include <algorithm>

#include "proxy/base/str.h"
#include "proxy/http/grpc.h"

namespace pillion::route {
namespace {

// Of the lower half of the dice; weights take the upper one, or both would always go together.
bool drawn(config::Fraction fraction, uint64_t random) {
  return (random & UINT32_MAX) % fraction.denominator < fraction.numerator;
}

bool is_whole(config::Fraction fraction) { return fraction.numerator >= fraction.denominator; }

}  // namespace

bool RouteConditions::hold(const http::RequestHead& head, uint64_t random) const {
  if (!is_whole(fraction) && !drawn(fraction, random)) return false;
  if (grpc && !http::is_grpc(head.headers)) return false;
  return std::ranges::all_of(headers, [&](const auto& m) { return m.matches(head); }) &&
         std::ranges::all_of(query_parameters,
                             [&](const auto& m) { return m.matches(head.path); }) &&
         std::ranges::all_of(cookies, [&](const auto& m) { return m.matches(head.headers); });
}

std::string RouteConditions::why_not(const http::RequestHead& head, uint64_t random) const {
  if (!is_whole(fraction) && !drawn(fraction, random)) return "the dice (runtime_fraction)";
  if (grpc && !http::is_grpc(head.headers)) return "gRPC";
  for (const auto& m : headers) {
    if (!m.matches(head)) return m.describe();
  }
  for (const auto& m : query_parameters) {
    if (!m.matches(head.path)) return m.describe();
  }
  for (const auto& m : cookies) {
    if (!m.matches(head.headers)) return m.describe();
  }
  return {};
}

std::string RouteConditions::describe() const {
  std::string text;
  const auto add = [&text](std::string_view part) {
    if (!text.empty()) text += ", ";
    text += part;
  };
  if (!is_whole(fraction)) add(str(fraction.numerator, " of ", fraction.denominator, " requests"));
  if (grpc) add("gRPC");
  for (const auto& m : headers) add(m.describe());
  for (const auto& m : query_parameters) add(m.describe());
  for (const auto& m : cookies) add(m.describe());
  return text;
}

}  // namespace pillion::route
