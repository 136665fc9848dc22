#include <algorithm>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/route/parse_parts.h"
#include "proxy/route/request_match.h"

namespace pillion::route {
namespace {

using config::Need;
using config::Node;
using config::Unknown;
using Kind = PathMatcher::Kind;

constexpr std::string_view kLater = "comes with a later version";

bool is(const Node& field, std::string_view snake, std::string_view camel) {
  return field.is_present() && (field.key() == snake || field.key() == camel);
}

// The text of a path matcher; a warning if it can never match.
PathMatcher parse_path_text(const Node& field, Kind kind, bool ignore_case) {
  const std::string text = kind == Kind::kPrefix ? field.as_string_or("") : field.as_string();
  const bool is_legal_separated = !text.ends_with('/') && text.find_first_of("?#") == text.npos;
  if (kind == Kind::kSeparatedPrefix && !is_legal_separated) {
    field.expected("a path that does not end in '/' and has no query");
  } else if (!text.empty() && text != "*" && !text.starts_with('/')) {
    field.warn("matches no request, because a path begins with '/'");
  } else if (text.find_first_of("?#") != text.npos) {
    field.warn("matches no request, because paths are compared without their query");
  }
  return {kind, text, ignore_case};
}

PathMatcher parse_path(const Node& match) {
  const Node field =
      match.one_of({"prefix", "path", "safe_regex", "path_separated_prefix", "connect_matcher"},
                   match.has("path_match_policy") ? Need::kAtMostOne : Need::kExactlyOne);
  match.unsupported({"path_match_policy"}, kLater, Unknown::kAlwaysError);
  const bool ignore_case = !match["case_sensitive"].as_bool_or(true);
  if (is(field, "prefix", "prefix")) return parse_path_text(field, Kind::kPrefix, ignore_case);
  if (is(field, "path", "path")) return parse_path_text(field, Kind::kExact, ignore_case);
  if (is(field, "path_separated_prefix", "pathSeparatedPrefix")) {
    return parse_path_text(field, Kind::kSeparatedPrefix, ignore_case);
  }
  if (is(field, "connect_matcher", "connectMatcher")) {
    field.reject_unknown_keys(Unknown::kAlwaysError);
    return {Kind::kConnect, "", false};
  }
  if (is(field, "safe_regex", "safeRegex")) return PathMatcher(match::parse_regex(field));
  return PathMatcher(match::RegexPtr());  // an error, which is recorded
}

// Null if the path alone decides.
std::unique_ptr<const RouteConditions> parse_conditions(const Node& match) {
  RouteConditions c;
  for (const Node item : match["headers"].items()) {
    c.headers.push_back(match::parse_header_matcher(item));
  }
  for (const Node item : match["query_parameters"].items()) {
    c.query_parameters.push_back(match::parse_query_parameter_matcher(item));
  }
  for (const Node item : match["cookies"].items()) {
    c.cookies.push_back(match::parse_cookie_matcher(item));
  }
  c.fraction = match["runtime_fraction"].as_runtime_fraction_or(c.fraction);
  if (const Node grpc = match["grpc"]; grpc.is_present()) {
    c.grpc = true;
    grpc.reject_unknown_keys(Unknown::kAlwaysError);
  }
  const bool is_certain = c.fraction.numerator >= c.fraction.denominator;
  if (is_certain && !c.grpc && c.headers.empty() && c.query_parameters.empty() &&
      c.cookies.empty()) {
    return nullptr;
  }
  return std::make_unique<const RouteConditions>(std::move(c));
}

void parse_match(Route& route, const Node& match) {
  if (match.is_missing()) return;
  route.path = parse_path(match);
  route.conditions = parse_conditions(match);
  match.unsupported({"tls_context", "dynamic_metadata", "filter_state"}, kLater,
                    Unknown::kAlwaysError);
  match.reject_unknown_keys(Unknown::kAlwaysError);
}

}  // namespace

RequestMatch parse_request_match(const Node& match) {
  Route route;
  parse_match(route, match);
  return {std::move(route.path), std::move(route.conditions)};
}

bool RequestMatch::matches(const http::RequestHead& head, std::string_view path,
                           uint64_t random) const {
  const bool is_root = (path.empty() || path == "*") && path_.kind() != Kind::kExact;
  const bool is_path = path_.matches(path) || (is_root && path_.matches("/"));
  return is_path && (conditions_ == nullptr || conditions_->hold(head, random));
}

uint32_t parse_body_limit(const Node& node, uint32_t fallback) {
  const Node older = node["per_request_buffer_limit_bytes"];
  if (const Node newer = node["request_body_buffer_limit"]; newer.is_present()) {
    return static_cast<uint32_t>(std::min<uint64_t>(newer.as_u64(), UINT32_MAX));
  }
  // It can only lower what a connection may hold.
  return older.is_present() ? std::min(older.as_u32(), kDefaultBodyLimit) : fallback;
}

Route parse_route(const Node& node, ParseContext context) {
  Route route;
  context.body_limit = parse_body_limit(node, context.body_limit);
  route.name = node["name"].as_string_or("");
  parse_match(route, node.required("match"));
  const bool has_other = node.has("filter_action") || node.has("non_forwarding_action");
  const Node action = node.one_of({"route", "redirect", "direct_response"},
                                  has_other ? Need::kAtMostOne : Need::kExactlyOne);
  if (is(action, "redirect", "redirect")) {
    route.kind = Route::Kind::kRedirect;
    route.redirect = parse_redirect(action);
  } else if (is(action, "direct_response", "directResponse")) {
    route.kind = Route::Kind::kDirectResponse;
    route.direct_response = parse_direct_response(action, context);
  } else if (is(action, "route", "route")) {
    route.forward = parse_forward(action, context);
  } else {
    route.forward = std::make_unique<const ForwardAction>();  // an error, which is recorded
  }
  route.mutations = parse_level_mutations(node, context.options.formats);
  route.filters = parse_overrides(node, context.options);
  const Node decorator = node["decorator"];
  route.operation = decorator["operation"].as_string_or("");
  decorator.ignore({"propagate"});  // of a response field that we neither read nor write
  decorator.reject_unknown_keys();
  node.ignore({"metadata", "stat_prefix"});  // change no request
  node.unsupported({"tracing"}, kLater);
  node.unsupported({"route_specifiers", "filter_action", "non_forwarding_action"}, kLater,
                   Unknown::kAlwaysError);
  node.reject_unknown_keys();
  return route;
}

}  // namespace pillion::route
