#include "proxy/config/config_source.h"

namespace pillion::config {
namespace {

constexpr EnumRow kVersions[] = {{"AUTO", 0}, {"V2", 1, "the API of before 2021"}, {"V3", 2}};

}  // namespace

void check_api_version(const Node& node) { (void)node.as_enum_or<int>(2, kVersions); }

AdsSource parse_ads_source(const Node& node) {
  AdsSource out;
  if (node.is_missing()) return out;
  (void)node.one_of({"ads", "path", "path_config_source", "api_config_source", "self"});
  node["ads"].reject_unknown_keys();
  node.unsupported({"path", "path_config_source", "api_config_source", "self", "authorities"},
                   "use ads", Unknown::kAlwaysError);
  out.initial_fetch_timeout =
      node["initial_fetch_timeout"].as_duration_or(out.initial_fetch_timeout);
  check_api_version(node["resource_api_version"]);
  node.reject_unknown_keys();
  return out;
}

}  // namespace pillion::config
