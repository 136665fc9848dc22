#include "proxy/route/route_index.h"

#include <algorithm>
#include <map>

#include "proxy/route/route.h"

namespace pillion::route {
namespace {

bool is_plain_text(const PathMatcher& path) {
  using Kind = PathMatcher::Kind;
  return !path.ignores_case() && path.kind() != Kind::kRegex && path.kind() != Kind::kConnect;
}

// The lengths of most texts, at most kMaxLengths of them.
std::vector<size_t> common_lengths(const std::vector<Route>& routes) {
  std::map<size_t, size_t> counts;
  for (const Route& route : routes) {
    if (is_plain_text(route.path)) ++counts[route.path.text().size()];
  }
  std::vector<size_t> lengths;
  for (const auto& [length, count] : counts) lengths.push_back(length);
  std::ranges::stable_sort(lengths, std::greater<>(),
                           [&counts](size_t length) { return counts[length]; });
  if (lengths.size() > RouteIndex::kMaxLengths) lengths.resize(RouteIndex::kMaxLengths);
  return lengths;
}

}  // namespace

std::unique_ptr<const RouteIndex> RouteIndex::build(const std::vector<Route>& routes) {
  if (routes.size() < kMinRoutes) return nullptr;
  auto index = std::make_unique<RouteIndex>();
  index->lengths_ = common_lengths(routes);
  for (uint32_t i = 0; i < routes.size(); ++i) {
    const PathMatcher& path = routes[i].path;
    const auto length = std::ranges::find(index->lengths_, path.text().size());
    const bool is_indexed = is_plain_text(path) && length != index->lengths_.end();
    (is_indexed ? index->texts_[path.text()] : index->others_).push_back(i);
  }
  return index;
}

}  // namespace pillion::route
