#include "proxy/builder/ads_sources.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "proxy/base/str.h"
#include "proxy/builder/scoped_routes.h"
#include "proxy/config/document.h"

namespace pillion {
namespace {

using config::Key;
using config::Kind;
using config::Node;
using config::Value;

constexpr std::string_view kNeed = " needs dynamic_resources.ads_config";

bool is_config_source(const Key& key) {
  static constexpr std::string_view kFields[] = {"eds_config", "config_source", "rds_config_source",
                                                 "scoped_rds_config_source", "sds_config"};
  return config::is_any_field(key, kFields);
}

// Under it keys are the user's.
bool is_metadata(const Key& key) {
  static constexpr std::string_view kFields[] = {"filter_metadata"};
  return config::is_any_field(key, kFields);
}

// The tree is walked, for the parsers know the place and not what the process has, and what they
// make of it has no places.
void refuse_within(const Value& value, config::Errors& errors) {
  if (value.kind != Kind::kMapping && value.kind != Kind::kSequence) return;
  const bool may_be_ads = value.key != nullptr && is_config_source(*value.key);
  for (const Value* child = value.first_child; child != nullptr; child = child->next) {
    if (child->key != nullptr && is_metadata(*child->key)) continue;
    const std::string_view name = child->key == nullptr ? std::string_view() : child->key->text;
    if (may_be_ads && (name == "ads" || name == "self") && child->kind != Kind::kNull)
      Node(&value, &errors).error(str(name, kNeed));
    refuse_within(*child, errors);
  }
}

}  // namespace

void refuse_ads_sources(const Node& resource) {
  if (resource.value() != nullptr) refuse_within(*resource.value(), *resource.errors());
}

void refuse_ads_table(const CompiledScope& scope, const Resources& resources, const Node& node) {
  if (scope.config->rds_name.empty()) return;
  const std::optional<Wanted> tables = wanted_tables_of_scopes(resources);
  if (tables && tables->source == nullptr)
    node["route_configuration_name"].error(str("rds by ads", kNeed));
}

void refuse_ads_tables(const CompiledListener& listener, const Node& node) {
  // Those that say it have been refused in their place.
  if (!node.errors()->ok()) return;
  const bool is_any_by_ads = std::ranges::any_of(
      listener.tables, [](const auto& item) { return item.second.source == nullptr; });
  if (is_any_by_ads) node.error(str("rds by ads", kNeed));
}

}  // namespace pillion
