#pragma once
// The path that a rule of a filter is held against: the one that routes see, canonical, without the
// query, and without parameters where the route table ignores them.  A rule that read another one
// could be walked round ("/admin;x").

#include <string_view>

#include "proxy/core/http_filter.h"
#include "proxy/match/canonical_path.h"

namespace pillion::filters {

// `route` is the request's, and may be none.
inline std::string_view path_of(const http::RequestHead& head, const route::RouteMatch& route) {
  const route::RouteTable* table = route.host == nullptr ? nullptr : route.host->table;
  return table == nullptr ? match::without_query(head.path) : table->matched_path(head);
}

}  // namespace pillion::filters
