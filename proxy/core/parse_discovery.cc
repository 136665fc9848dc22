// config_discovery of a filter (config.core.v3.ExtensionConfigSource).
#include <algorithm>
#include <utility>

#include "proxy/config/config_source.h"
#include "proxy/core/parse_parts.h"

namespace pillion::core {
namespace {

using config::Node;

// Fills `out`; the message of default_config, without a type if there is none or it is refused.
config::TypedConfig parse_fields(ExtensionDiscovery& out, const Node& item, ExtensionPoint point,
                                 std::span<const std::string_view> supported) {
  out.name = item["name"].as_string();
  (void)item.one_of({"typed_config", "config_discovery"});
  const Node node = item["config_discovery"];
  config::check_resource_name(item["name"], out.name);
  const Node source = node.required("config_source");
  config::ConfigSource from = config::parse_config_source(source, config::Unknown::kAlwaysError);
  // It is refused already, and shall not be once more for want of an ads_config.
  if (source.is_missing()) {
    from.how = config::ConfigSource::Path{};
    from.key.clear();
  }
  out.timeout = from.initial_fetch_timeout;
  out.source = config::shared_source(std::move(from));
  const Node urls = node["type_urls"];
  for (const Node url : urls.items()) {
    std::string_view type = url.as_view_or();
    type.remove_prefix(type.rfind('/') + 1);
    if (check_extension_type(url, type, point, supported)) out.types.emplace_back(type);
  }
  if (urls.size() == 0) urls.expected("at least one type");
  config::TypedConfig message;
  const Node fallback = node["default_config"];
  if (fallback.is_present()) {
    message = fallback.typed_config();
    out.has_default = true;
    if (!message.type.empty() && !out.allows(message.type)) {
      fallback["@type"].expected("one of type_urls");
      message = {};
    }
  }
  const Node without = node["apply_default_config_without_warming"];
  out.must_wait = !without.as_bool_or(false);
  if (!out.must_wait && !out.has_default) without.error("needs default_config");
  // What stands for a guard must not be skipped.
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  return message;
}

template <typename Type>
std::vector<std::string_view> names_of(std::span<const Type> types) {
  std::vector<std::string_view> names;
  for (const Type& type : types) names.push_back(type.type);
  return names;
}

}  // namespace

std::shared_ptr<const HttpDiscovery> parse_http_discovery(const Node& item,
                                                          std::span<const HttpFilterType> types,
                                                          const FilterParseContext& context) {
  auto out = std::make_shared<HttpDiscovery>();
  const auto [type, node] = parse_fields(*out, item, ExtensionPoint::kHttpFilter, names_of(types));
  const auto found = std::ranges::find(types, type, &HttpFilterType::type);
  if (found == types.end()) {
    out->fallback.factory = missing_http_filter();
  } else {
    out->fallback = {&*found, found->parse(node, context), 0};
  }
  return out;
}

std::shared_ptr<const NetworkDiscovery> parse_network_discovery(
    const Node& item, std::span<const NetworkFilterType> types) {
  auto out = std::make_shared<NetworkDiscovery>();
  const auto [type, node] =
      parse_fields(*out, item, ExtensionPoint::kNetworkFilter, names_of(types));
  const auto found = std::ranges::find(types, type, &NetworkFilterType::type);
  if (found == types.end()) {
    out->fallback.filter = missing_network_filter();
  } else {
    out->fallback = {&*found, found->parse(node), 0};
  }
  return out;
}

std::shared_ptr<const ListenerFilterDiscovery> parse_listener_discovery(const Node& item) {
  auto out = std::make_shared<ListenerFilterDiscovery>();
  const auto types = listener_filter_types();
  const auto [type, node] = parse_fields(*out, item, ExtensionPoint::kListenerFilter, types);
  const auto found = std::ranges::find(types, type);
  if (found == types.end()) return out;
  parse_listener_filter(*found, node);
  out->fallback = {*found, 0};
  return out;
}

}  // namespace pillion::core
