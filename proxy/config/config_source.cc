#include "proxy/config/config_source.h"

#include <utility>

#include "proxy/base/str.h"

namespace pillion::config {
namespace {

constexpr EnumRow kVersions[] = {{"AUTO", 0}, {"V2", 1, "the API of before 2021"}, {"V3", 2}};

void use_path(ConfigSource& out, std::string path) {
  out.key = str("path/", path);
  out.how = ConfigSource::Path{std::move(path)};
}

void parse_path(ConfigSource& out, const Node& node, Unknown unknown) {
  use_path(out, node.required("path").as_string_or(""));
  check_watched_directory(node["watched_directory"], unknown);
  node.unsupported({"poll_interval"}, "the file is watched", Unknown::kAlwaysError);
  node.reject_unknown_keys(unknown);
}

}  // namespace

void check_api_version(const Node& node) { (void)node.as_enum_or<int>(2, kVersions); }

void check_resource_name(const Node& node, std::string_view name) {
  if (name.starts_with("xdstp:")) node.expected("a name that is no xdstp:// URL");
}

void check_watched_directory(const Node& node, Unknown unknown) {
  if (node.is_missing()) return;
  (void)node.required("path").as_string_or("");
  node.ignore({"watch_modify"});  // what is written in place is noticed without
  node.reject_unknown_keys(unknown);
}

ConfigSourcePtr shared_source(ConfigSource source) {
  if (source.is_ads()) return nullptr;
  return std::make_shared<const ConfigSource>(std::move(source));
}

std::string key_of(const GrpcService& service) {
  std::string key = str(service.cluster.value, '\0', service.authority);
  for (const auto& [name, value] : service.metadata) key += str('\0', name, '\0', value);
  return key;
}

ConfigSource parse_config_source(const Node& node, Unknown unknown) {
  ConfigSource out;
  if (node.is_missing()) return out;
  const Node how = node.one_of({"ads", "path", "path_config_source", "api_config_source", "self"});
  node.unsupported({"authorities"}, "xdstp:// names are not served", Unknown::kAlwaysError);
  if (node.has("api_config_source")) {
    ConfigSource::Api api{parse_api_config_source(how)};
    out.key = str("api/", key_of(api.service));
    out.how = std::move(api);
  } else if (node.has("path_config_source")) {
    parse_path(out, how, unknown);
  } else if (node.has("path")) {
    use_path(out, how.as_string());
  } else if (node.has("ads")) {
    how.reject_unknown_keys(unknown);
  } else if (node.has("self")) {
    how.ignore({"transport_api_version"});  // there is one
    how.reject_unknown_keys(unknown);
  }
  out.initial_fetch_timeout =
      node["initial_fetch_timeout"].as_duration_or(out.initial_fetch_timeout);
  check_api_version(node["resource_api_version"]);
  node.reject_unknown_keys(unknown);
  return out;
}

}  // namespace pillion::config
