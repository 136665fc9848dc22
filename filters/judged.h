#pragma once
// Judged: what a verdict on a request was about.  A filter that allows or denies keeps it, and its
// on_request_settled() compares: filters behind may have changed the route or the path since
// (design section 9).

#include <string_view>

#include "proxy/core/http_filter.h"

namespace pillion::filters {

struct Judged {
  std::string_view path, authority, method;
  const route::Route* route = nullptr;
  const route::FilterRouteConfig* config = nullptr;  // of the filter

  static Judged of(const http::RequestHead& head, const core::FilterContext& context) {
    return {head.path, head.authority, head.method_text, context.route().route,
            context.route_config<route::FilterRouteConfig>()};
  }
  bool operator==(const Judged&) const = default;
};

}  // namespace pillion::filters
