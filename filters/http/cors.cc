// envoy.filters.http.cors: which pages of other origins may call (Fetch standard, 3.2).  All that
// it does is said by the CorsPolicy of the route; a field that the most specific level does not set
// is the next level's.
//
// It guards browsers, not the service: who lies about its origin, or sends none, gets through.
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "proxy/core/http_filter.h"
#include "proxy/match/string.h"

namespace pillion::filters {
namespace {

using config::Fraction;
using config::Node;
using core::FilterContext;
using core::FilterVerdict;

using WorkerState = core::FilterCounters<stats::CorsStats>;

// CorsPolicy; what is empty is not set.
struct RouteConfig final : route::FilterRouteConfig {
  std::vector<match::StringMatcher> origins;
  bool matches_all = false;  // one of them matches "*", which stands for any origin
  std::string methods, headers, expose_headers, max_age;
  std::optional<bool> credentials, private_network, forwards_refused;
  Fraction enabled{100, 100};
  Fraction shadow_enabled;
};

class Filter;

class Factory final : public core::HttpFilterFactoryOf<Filter, Factory, WorkerState> {};

class Filter final : public core::HttpFilter {
 public:
  Filter(const Factory&, FilterContext& context) : context_(context) {}

  FilterVerdict on_request_head(http::RequestHead& head, bool) override {
    find_policies();
    if (count_ == 0) return FilterVerdict::kContinue;
    const bool is_enabled = context_.draws(policies_[0]->enabled);
    if (!is_enabled && !context_.draws(policies_[0]->shadow_enabled))
      return FilterVerdict::kContinue;
    const std::string_view origin = only_value(head, "origin");
    if (origin.empty()) return FilterVerdict::kContinue;
    const bool is_allowed = allows(origin);
    auto& stats = *context_.worker_state<WorkerState>().stats;
    (is_allowed ? stats.origin_valid : stats.origin_invalid).inc();
    if (!is_enabled) return FilterVerdict::kContinue;
    if (is_allowed) origin_ = origin;
    const std::string_view method = only_value(head, "access-control-request-method");
    if (head.method != http::Method::kOptions || method.empty()) return FilterVerdict::kContinue;
    if (!is_allowed && flag<&RouteConfig::forwards_refused>(true)) return FilterVerdict::kContinue;
    answer_preflight(head, method);
    return FilterVerdict::kStop;
  }

  FilterVerdict on_response_head(http::ResponseHead& head, bool) override {
    if (origin_.empty()) return FilterVerdict::kContinue;
    allow_origin(head.headers);
    const std::string_view exposed = text<&RouteConfig::expose_headers>();
    if (!exposed.empty()) head.headers.set("access-control-expose-headers", exposed);
    return FilterVerdict::kContinue;
  }

 private:
  void find_policies() {
    const route::RouteMatch& route = context_.route();
    if (!route || route.route->forward == nullptr) return;
    context_.for_each_route_config([this](const route::FilterRouteConfig& config) {
      if (count_ < policies_.size()) policies_[count_++] = static_cast<const RouteConfig*>(&config);
    });
  }
  // Of a field that is there once.
  static std::string_view only_value(const http::RequestHead& head, std::string_view name) {
    std::string_view value;
    int count = 0;
    head.headers.for_each_of(name, [&](const http::Field& f) {
      value = f.value;
      ++count;
    });
    return count == 1 ? value : std::string_view();
  }
  [[nodiscard]] bool allows(std::string_view origin) const {
    for (size_t i = 0; i < count_; ++i) {
      if (policies_[i]->matches_all) return true;
      for (const match::StringMatcher& m : policies_[i]->origins) {
        if (m.matches(origin)) return true;
      }
      if (!policies_[i]->origins.empty()) return false;
    }
    return false;
  }
  template <std::string RouteConfig::* field>
  [[nodiscard]] std::string_view text() const {
    for (size_t i = 0; i < count_; ++i) {
      if (!(policies_[i]->*field).empty()) return policies_[i]->*field;
    }
    return {};
  }
  template <std::optional<bool> RouteConfig::* field>
  [[nodiscard]] bool flag(bool fallback) const {
    for (size_t i = 0; i < count_; ++i) {
      if (policies_[i]->*field) return *(policies_[i]->*field);
    }
    return fallback;
  }

  void allow_origin(http::Headers& headers) const {
    headers.set("access-control-allow-origin", origin_);
    if (flag<&RouteConfig::credentials>(false))
      headers.set("access-control-allow-credentials", "true");
  }

  void answer_preflight(const http::RequestHead& head, std::string_view method) {
    http::Headers headers(context_.arena());
    const auto add = [&headers](std::string_view name, std::string_view value) {
      if (!value.empty()) headers.add(name, value);
    };
    if (flag<&RouteConfig::credentials>(false)) add("access-control-allow-credentials", "true");
    const std::string_view methods = text<&RouteConfig::methods>();
    add("access-control-allow-methods", methods == "*" ? method : methods);
    const std::string_view allowed = text<&RouteConfig::headers>();
    add("access-control-allow-headers",
        allowed == "*" ? only_value(head, "access-control-request-headers") : allowed);
    add("access-control-max-age", text<&RouteConfig::max_age>());
    const bool asks_private = only_value(head, "access-control-request-private-network") == "true";
    if (asks_private && flag<&RouteConfig::private_network>(false))
      add("access-control-allow-private-network", "true");
    // The origin is added where it is of all responses.
    context_.local_reply({.status = 200, .details = "cors_response", .headers = &headers});
  }

  FilterContext& context_;
  // The most specific first.
  std::array<const RouteConfig*, 4> policies_{};
  size_t count_ = 0;
  std::string_view origin_;  // if it is allowed
};

std::optional<bool> parse_flag(const Node& node) {
  if (node.is_missing()) return {};
  return node.as_bool();
}

// What is sent as it stands here.
std::string parse_value(const Node& node) {
  std::string text = node.as_string_or("");
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) {
      node.expected("a text without control characters");
      return {};
    }
  }
  return text;
}

std::shared_ptr<const core::HttpFilterFactory> parse(const Node& node,
                                                     const core::FilterParseContext&) {
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  return std::make_shared<Factory>();
}

std::shared_ptr<const route::FilterRouteConfig> parse_route(const Node& node,
                                                            const core::FilterParseContext&) {
  auto config = std::make_shared<RouteConfig>();
  for (const Node item : node["allow_origin_string_match"].items())
    config->origins.push_back(match::parse_string_matcher(item));
  config->matches_all = std::ranges::any_of(
      config->origins, [](const match::StringMatcher& m) { return m.matches("*"); });
  config->methods = parse_value(node["allow_methods"]);
  config->headers = parse_value(node["allow_headers"]);
  config->expose_headers = parse_value(node["expose_headers"]);
  config->max_age = parse_value(node["max_age"]);
  config->credentials = parse_flag(node["allow_credentials"]);
  config->private_network = parse_flag(node["allow_private_network_access"]);
  config->forwards_refused = parse_flag(node["forward_not_matching_preflights"]);
  config->enabled = node["filter_enabled"].as_runtime_fraction_or(config->enabled);
  config->shadow_enabled = node["shadow_enabled"].as_runtime_fraction_or(config->shadow_enabled);
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  return config;
}

}  // namespace

extern const core::HttpFilterType kCors;
const core::HttpFilterType kCors{"envoy.extensions.filters.http.cors.v3.Cors",
                                 "envoy.extensions.filters.http.cors.v3.CorsPolicy", parse,
                                 parse_route};

}  // namespace pillion::filters
