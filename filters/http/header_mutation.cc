// envoy.filters.http.header_mutation: changes headers, by lists whose steps take effect one after
// the other, for all routes and, in addition, as each level of a route says.
#include "proxy/route/header_mutation.h"

#include "proxy/core/http_filter.h"

namespace pillion::filters {
namespace {

using config::Node;
using core::FilterContext;
using core::FilterVerdict;

constexpr std::string_view kLater = "comes with a later version";

// Mutations.
struct Mutations {
  route::MutationSequence request;
  route::MutationSequence response;
};

Mutations parse_mutations(const Node& node, const core::FilterParseContext& context) {
  Mutations mutations{{node["request_mutations"], &context.formats},
                      {node["response_mutations"], &context.formats}};
  // What they remove would reach the application, or the client.
  node.unsupported(
      {"query_parameter_mutations", "request_trailers_mutations", "response_trailers_mutations"},
      kLater, config::Unknown::kAlwaysError);
  node.unsupported({"formatters"}, kLater);
  node.reject_unknown_keys();
  return mutations;
}

struct RouteConfig final : route::FilterRouteConfig {
  Mutations mutations;
};

class Filter;

class Factory final : public core::HttpFilterFactoryOf<Filter, Factory> {
 public:
  Mutations mutations;
  bool most_specific_wins = false;
};

class Filter final : public core::HttpFilter {
 public:
  Filter(const Factory& factory, FilterContext& context) : factory_(factory), context_(context) {}

  FilterVerdict on_request_head(http::RequestHead& head, bool) override {
    factory_.mutations.request.apply(head.headers, &context_.info());
    for_each_level([&](const Mutations& m) { m.request.apply(head.headers, &context_.info()); });
    return FilterVerdict::kContinue;
  }
  FilterVerdict on_response_head(http::ResponseHead& head, bool) override {
    factory_.mutations.response.apply(head.headers, &context_.info());
    for_each_level([&](const Mutations& m) { m.response.apply(head.headers, &context_.info()); });
    return FilterVerdict::kContinue;
  }

 private:
  // The one that wins comes last.
  template <typename Fn>
  void for_each_level(Fn&& fn) const {
    const Mutations* levels[4];
    size_t count = 0;
    context_.for_each_route_config([&](const route::FilterRouteConfig& config) {
      levels[count++] = &static_cast<const RouteConfig&>(config).mutations;
    });
    for (size_t i = 0; i < count; ++i) fn(*levels[factory_.most_specific_wins ? count - 1 - i : i]);
  }

  const Factory& factory_;
  FilterContext& context_;
};

std::shared_ptr<const core::HttpFilterFactory> parse(const Node& node,
                                                     const core::FilterParseContext& context) {
  auto factory = std::make_shared<Factory>();
  factory->mutations = parse_mutations(node["mutations"], context);
  factory->most_specific_wins = node["most_specific_header_mutations_wins"].as_bool_or(false);
  node.reject_unknown_keys();
  return factory;
}

std::shared_ptr<const route::FilterRouteConfig> parse_route(
    const Node& node, const core::FilterParseContext& context) {
  auto config = std::make_shared<RouteConfig>();
  config->mutations = parse_mutations(node["mutations"], context);
  node.reject_unknown_keys();
  return config;
}

}  // namespace

extern const core::HttpFilterType kHeaderMutation;
const core::HttpFilterType kHeaderMutation{
    "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
    "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute", parse, parse_route};

}  // namespace pillion::filters
