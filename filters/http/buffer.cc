// envoy.filters.http.buffer: a request goes on when all of it is here, with a Content-Length; one
// that is too long is answered with 413.  What becomes a tunnel (upgrades, CONNECT) is no request
// with an end, and passes.
#include "proxy/core/http_filter.h"

namespace pillion::filters {
namespace {

using config::Node;
using core::FilterContext;
using core::FilterVerdict;

struct RouteConfig final : route::FilterRouteConfig {
  bool disabled = false;
  uint32_t max_bytes = 0;
};

class Filter;

class Factory final : public core::HttpFilterFactoryOf<Filter, Factory> {
 public:
  uint32_t max_bytes = 0;
};

class Filter final : public core::HttpFilter {
 public:
  Filter(const Factory& factory, FilterContext& context) : factory_(factory), context_(context) {}

  FilterVerdict on_request_head(http::RequestHead& head, bool end) override {
    if (end || !head.upgrade.empty() || head.method == http::Method::kConnect)
      return FilterVerdict::kContinue;
    const auto* route = context_.route_config<RouteConfig>();
    if (route != nullptr && route->disabled) return FilterVerdict::kContinue;
    return context_.buffer_request(route != nullptr ? route->max_bytes : factory_.max_bytes);
  }

 private:
  const Factory& factory_;
  FilterContext& context_;
};

// Buffer.
uint32_t parse_max_bytes(const Node& node) {
  const Node max = node.required("max_request_bytes");
  const uint32_t bytes = max.is_present() ? max.as_u32(1) : 1;
  node.reject_unknown_keys();
  return bytes;
}

std::shared_ptr<const core::HttpFilterFactory> parse(const Node& node,
                                                     const core::FilterParseContext&) {
  auto factory = std::make_shared<Factory>();
  factory->max_bytes = parse_max_bytes(node);
  return factory;
}

std::shared_ptr<const route::FilterRouteConfig> parse_route(const Node& node,
                                                            const core::FilterParseContext&) {
  auto config = std::make_shared<RouteConfig>();
  const Node override = node.one_of({"disabled", "buffer"});
  if (override.is_mapping()) {
    config->max_bytes = parse_max_bytes(override);
  } else if (override.is_present()) {
    config->disabled = override.as_bool();
    if (!config->disabled) override.expected("true", "leave the field out to enable the filter");
  }
  node.reject_unknown_keys();
  return config;
}

}  // namespace

extern const core::HttpFilterType kBuffer;
const core::HttpFilterType kBuffer{"envoy.extensions.filters.http.buffer.v3.Buffer",
                                   "envoy.extensions.filters.http.buffer.v3.BufferPerRoute", parse,
                                   parse_route};

}  // namespace pillion::filters
