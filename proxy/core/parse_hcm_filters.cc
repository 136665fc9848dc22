// http_filters of an HttpConnectionManager, the router last, and what the levels of its routes say
// about them (typed_per_filter_config).
#include <algorithm>

#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "proxy/core/parse_parts.h"

namespace pillion::core {
namespace {

using config::Node;

constexpr std::string_view kRouter = "envoy.extensions.filters.http.router.v3.Router";
constexpr std::string_view kFilterConfig = "envoy.config.route.v3.FilterConfig";

void parse_router(HcmConfig& out, const Node& item, const Node& node) {
  out.suppress_envoy_headers = node["suppress_envoy_headers"].as_bool_or(false);
  out.respect_expected_rq_timeout = node["respect_expected_rq_timeout"].as_bool_or(false);
  // The counters of clusters are always kept; the other tunes gRPC counters, which there are none
  // of.
  node.ignore({"dynamic_stats", "suppress_grpc_request_failure_code_stats"});
  refuse_true(node, {"start_child_span"}, "use tracing.spawn_upstream_span");
  refuse_true(node, {"reject_connect_request_early_data"});
  node.unsupported({"strict_check_headers", "upstream_http_filters"}, kLater,
                   config::Unknown::kAlwaysError);
  node.unsupported({"upstream_log", "upstream_log_options"}, kLater);
  node.reject_unknown_keys();
  if (item["disabled"].as_bool_or(false)) item["disabled"].error("the router cannot be disabled");
}

// Is it a type of Envoy's own tree?  One of those that we lack is refused even if it is optional:
// it may guard something, and Envoy has it.  By the name and not by a list, which would be out of
// date with Envoy's next release.
bool is_of_envoy(std::string_view type) { return type.starts_with("envoy."); }

// A filter that is optional and whose type nobody knows, Envoy neither, is skipped as there.
bool is_skipped(const Node& item, std::span<const std::string_view> supported) {
  if (!item["is_optional"].as_bool_or(false) || item.has("config_discovery")) return false;
  const auto [type, config] = item["typed_config"].typed_config();
  if (type.empty() || std::ranges::find(supported, type) != supported.end()) return false;
  if (is_of_envoy(type)) return false;
  (void)config.entries();  // whatever it says
  item.leave_out(
      type, str("is optional and skipped: unknown HTTP filter \"", config::printable(type), '"'));
  return true;
}

}  // namespace

void FilterListParser::parse_list(HcmConfig& out, const Node& list) {
  knows_list_ = true;
  std::vector<std::string_view> supported{kRouter};
  for (const HttpFilterType& type : types_) supported.push_back(type.type);
  std::vector<HttpFilterChain::Entry> entries;
  bool has_router = false;
  for (const Node item : list.items()) {
    // Those beyond are told below, and not looked at: there may be hundreds of thousands.
    if (names_.size() > HttpFilterChain::kMaxFilters) break;
    if (has_router) item.error("comes after the router, which must be the last filter");
    if (is_skipped(item, supported) || leaves_out(item)) {
      names_.push_back({item["name"].as_string(), nullptr});
      item.ignore({"disabled", "is_optional"});
      item.reject_unknown_keys();
      continue;
    }
    if (item.has("config_discovery")) {
      add_discovered(item, entries);
      item.ignore({"is_optional"});
      item.reject_unknown_keys();
      continue;
    }
    const auto [type, node] = parse_extension(item, ExtensionPoint::kHttpFilter, supported);
    if (type == kRouter) {
      parse_router(out, item, node);
      has_router = true;
    } else {
      add(item, type, node, entries);
    }
    item.ignore({"disabled", "is_optional"});
    item.reject_unknown_keys();
  }
  const bool are_too_many = names_.size() > HttpFilterChain::kMaxFilters;
  if (!has_router && !are_too_many && (list.is_missing() || list.is_sequence())) {
    list.error("expected the router (envoy.filters.http.router) as the last filter");
  }
  if (are_too_many) {
    list.error(str("expected at most ", HttpFilterChain::kMaxFilters, " filters"));
  } else if (!entries.empty()) {
    out.filters =
        std::make_shared<const HttpFilterChain>(std::move(entries), out.head_limits.buffer_limit);
  }
}

void FilterListParser::add(const Node& item, std::string_view type, const Node& node,
                           std::vector<HttpFilterChain::Entry>& entries) {
  HttpFilterChain::Entry entry;
  entry.name = item["name"].as_string_or("");
  entry.disabled = item["disabled"].as_bool_or(false);
  const auto found = std::ranges::find(types_, type, &HttpFilterType::type);
  const HttpFilterType* kind = found == types_.end() ? nullptr : &*found;
  refuse_known_name(item["name"], kind);
  names_.push_back({entry.name, kind});
  if (found == types_.end()) return;  // an error, which is recorded
  entry.factory = found->parse(node, context_);
  entry.type = &*found;
  entries.push_back(std::move(entry));
}

// Istio's two RBAC filters have one name: what a route says is then meant for both.  `type`: null
// where it is not known yet.
void FilterListParser::refuse_known_name(const Node& name, const HttpFilterType* type) const {
  const auto other = std::ranges::find(names_, name.as_view_or(), &Named::name);
  if (other == names_.end() || (type != nullptr && other->type == type)) return;
  name.error(str("a filter of another type is called \"", config::printable(name.as_view_or()),
                 "\" already: routes could not tell them apart"));
}

void FilterListParser::add_discovered(const Node& item,
                                      std::vector<HttpFilterChain::Entry>& entries) {
  HttpFilterChain::Entry entry;
  entry.discovery = parse_http_discovery(item, types_, context_);
  entry.name = entry.discovery->name;
  entry.disabled = item["disabled"].as_bool_or(false);
  entry.take(entry.discovery->find(extensions_));
  refuse_known_name(item["name"], nullptr);
  names_.push_back({entry.name, nullptr, true});
  entries.push_back(std::move(entry));
}

// ---- routes ----

std::unique_ptr<const route::FilterOverrides> FilterListParser::parse(const Node& map) const {
  route::FilterOverrides overrides;
  if (map.is_present()) {
    for (const config::Entry entry : map.entries()) parse_override(entry, overrides);
  }
  if (overrides.empty()) return nullptr;
  return std::make_unique<const route::FilterOverrides>(std::move(overrides));
}

void FilterListParser::parse_override(const config::Entry& entry,
                                      route::FilterOverrides& out) const {
  config::TypedConfig message = entry.node.typed_config();
  if (message.type.empty()) return;
  route::FilterOverride override;
  override.filter = entry.key;
  bool is_optional = false;
  const Node wrapper = message.type == kFilterConfig ? message.node : Node();
  if (wrapper.is_present()) {
    override.disabled = wrapper["disabled"].as_bool_or(false);
    is_optional = wrapper["is_optional"].as_bool_or(false);
    const Node config = wrapper["config"];
    // An empty Any: the filter's own configuration.
    message = config.size() != 0 ? config.typed_config() : config::TypedConfig{};
    wrapper.reject_unknown_keys(config::Unknown::kAlwaysError);
  }
  if (!knows_list_) {
    parse_of_any_list(message, is_optional, override);
    return out.push_back(std::move(override));
  }
  const auto named = std::ranges::find(names_, entry.key, &Named::name);
  if (named == names_.end()) {
    std::vector<std::string_view> names;
    for (const Named& n : names_) names.push_back(n.name);
    std::string text = str("no HTTP filter of that name is in http_filters",
                           config::did_you_mean(entry.key, names));
    if (!is_optional) return entry.node.error(std::move(text));
    return entry.node.leave_out(kFilterConfig, std::move(text));
  }
  if (named->is_discovered) {
    parse_of_any_list(message, is_optional, override);
    return out.push_back(std::move(override));
  }
  if (named->type == nullptr) return;  // refused or skipped above
  if (!message.type.empty()) parse_message(*named->type, message, override);
  out.push_back(std::move(override));
}

void FilterListParser::parse_message(const HttpFilterType& type, const config::TypedConfig& message,
                                     route::FilterOverride& out) const {
  if (type.parse_route == nullptr) {
    message.node["@type"].error(
        str("\"", type.type, "\" takes no configuration from routes; they can disable it"));
  } else if (message.type != type.route_type) {
    message.node["@type"].expected(type.route_type);
  } else {
    out.config = type.parse_route(message.node, context_);
    out.type = &type;
  }
}

// Of RDS: which filters there are is said elsewhere; what names none of a manager that uses the
// table has no effect there.
void FilterListParser::parse_of_any_list(const config::TypedConfig& message, bool is_optional,
                                         route::FilterOverride& out) const {
  if (message.type.empty()) return;
  const auto found = std::ranges::find(types_, message.type, &HttpFilterType::route_type);
  if (found != types_.end()) return parse_message(*found, message, out);
  is_optional = is_optional && !is_of_envoy(message.type);
  std::string text =
      str("no filter has the configuration \"", config::printable(message.type), '"');
  is_optional ? message.node.leave_out(message.type, std::move(text))
              : message.node["@type"].error(std::move(text));
}

std::unique_ptr<const route::FilterOverrideParser> make_override_parser(ParseServices& services) {
  return std::make_unique<const FilterListParser>(services);
}

}  // namespace pillion::core
