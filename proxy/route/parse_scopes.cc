// ScopedRoutes: keys and scopes.
#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/config/config_source.h"
#include "proxy/config/value_hash.h"
#include "proxy/route/scopes.h"

namespace pillion::route {
namespace {

using config::Node;
using config::Unknown;

ScopeKeyBuilder::Fragment parse_fragment(const Node& node) {
  ScopeKeyBuilder::Fragment out;
  const Node extractor = node.required("header_value_extractor");
  const Node name = extractor.required("name");
  if (name.is_present()) out.header = lowered(name.as_string());
  out.element_separator = extractor["element_separator"].as_string_or("");
  const Node how = extractor.one_of({"index", "element"});
  if (how.is_present() && how.key() == "index") {
    out.index = how.as_u32();
    if (out.index != 0 && out.element_separator.empty())
      how.error("an index above 0 needs an element_separator");
  } else if (how.is_present()) {
    out.separator = how.required("separator").as_string_or("");
    out.key = how.required("key").as_string_or("");
    if (out.separator.empty()) how["separator"].expected("what stands between key and value");
    how.reject_unknown_keys(Unknown::kAlwaysError);
  }
  extractor.reject_unknown_keys(Unknown::kAlwaysError);
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return out;
}

void check_count(const Node& list) {
  if (list.is_sequence() && (list.size() == 0 || list.size() > kMaxScopeFragments))
    list.error(str("expected 1-", kMaxScopeFragments, " fragments, got ", list.size()));
}

}  // namespace

// A field that is not known would leave requests in the scope of others.
ScopeKeyBuilder parse_scope_keys(const Node& node) {
  std::vector<ScopeKeyBuilder::Fragment> fragments;
  const Node list = node.required("fragments");
  check_count(list);
  for (const Node item : list.items()) {
    if (fragments.size() < kMaxScopeFragments) fragments.push_back(parse_fragment(item));
  }
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return ScopeKeyBuilder(std::move(fragments));
}

std::shared_ptr<const ScopeConfig> parse_scope(const Node& node, const ParseOptions& options) {
  auto out = std::make_shared<ScopeConfig>();
  out->name = node.required("name").as_string_or("");
  const Node key = node.required("key");
  const Node fragments = key.required("fragments");
  check_count(fragments);
  for (const Node item : fragments.items()) {
    out->key.push_back(item.required("string_key").as_string_or(""));
    item.reject_unknown_keys(Unknown::kAlwaysError);
  }
  key.reject_unknown_keys(Unknown::kAlwaysError);
  out->on_demand = node["on_demand"].as_bool_or(false);
  const Node how = node.one_of({"route_configuration_name", "route_configuration"});
  if (how.is_present() && how.key() == "route_configuration_name") {
    out->rds_name = how.as_string();
    config::check_resource_name(how, out->rds_name);
  } else if (how.is_present()) {
    out->table = parse_route_table(how, options);
    out->on_demand = false;  // it is here
  }
  if (out->on_demand) out->use = std::make_shared<const UseMark>();
  node.reject_unknown_keys();
  out->hash = config::hash_value(node);
  return out;
}

}  // namespace pillion::route
