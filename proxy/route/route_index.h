#pragma once
// RouteIndex: for a virtual host with many routes, those whose path can match, without looking at
// the others.  Small hosts are scanned: up to some 50 routes that is as fast.
//
// Texts of case-sensitive paths and prefixes are in a hash table; a request's path is looked up
// once for each length that occurs.  The rest (regexes, CONNECT, paths in any case) is always
// tried.  Immutable; borrows the texts of the routes, which must not move.

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pillion::route {

struct Route;

class RouteIndex {
 public:
  static constexpr size_t kMinRoutes = 64;
  static constexpr size_t kMaxLengths = 32;

  // Null if there are fewer than kMinRoutes.
  static std::unique_ptr<const RouteIndex> build(const std::vector<Route>& routes);

  // Calls visit(number of a route) in order of the routes until it returns true.  Their paths need
  // not match; those of the routes left out do not.
  template <typename Visit>
  void for_each_candidate(std::string_view path, Visit&& visit) const {
    std::array<Cursor, kMaxLengths + 1> cursors;
    size_t count = 0;
    if (!others_.empty()) cursors[count++] = {others_.data(), others_.data() + others_.size()};
    for (const size_t length : lengths_) {
      if (length > path.size()) continue;
      const auto it = texts_.find(path.substr(0, length));
      if (it == texts_.end()) continue;
      cursors[count++] = {it->second.data(), it->second.data() + it->second.size()};
    }
    while (count != 0) {
      size_t first = 0;
      for (size_t i = 1; i < count; ++i) {
        if (*cursors[i].at < *cursors[first].at) first = i;
      }
      if (visit(*cursors[first].at)) return;
      if (++cursors[first].at == cursors[first].end) cursors[first] = cursors[--count];
    }
  }

 private:
  struct Cursor {
    const uint32_t* at;
    const uint32_t* end;
  };

  std::unordered_map<std::string_view, std::vector<uint32_t>> texts_;
  std::vector<size_t> lengths_;   // of the texts, each once
  std::vector<uint32_t> others_;  // not in texts_
};

}  // namespace pillion::route
