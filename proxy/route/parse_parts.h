#pragma once
// How the parsers of this folder share the work.  Internal to route/.

#include <cstdint>
#include <memory>
#include <string>

#include "proxy/config/node.h"
#include "proxy/route/parse.h"
#include "proxy/route/route.h"

namespace pillion::route {

// What the levels above a route say.
struct ParseContext {
  const ParseOptions& options;
  bool validate_clusters = true;
  uint32_t max_direct_response_bytes = 4096;
  // Of the virtual host.
  std::shared_ptr<const RetryPolicy> host_retry{};
  uint32_t body_limit = kDefaultBodyLimit;  // that of the route once parse_route() knows it
};

// per_request_buffer_limit_bytes, or its successor request_body_buffer_limit, of a virtual host or
// a route.
uint32_t parse_body_limit(const config::Node& node, uint32_t fallback);

Route parse_route(const config::Node& node, ParseContext context);
std::unique_ptr<const ForwardAction> parse_forward(const config::Node& node,
                                                   const ParseContext& context);
std::unique_ptr<const RedirectAction> parse_redirect(const config::Node& node);
std::unique_ptr<const DirectResponse> parse_direct_response(const config::Node& node,
                                                            const ParseContext& context);

// typed_per_filter_config of one level; null if it has none.
std::unique_ptr<const FilterOverrides> parse_overrides(const config::Node& level,
                                                       const ParseOptions& options);

// Text that becomes part of a path or an authority; an error if it has spaces, control characters
// or '#'.
std::string target_text(const config::Node& node);

}  // namespace pillion::route
