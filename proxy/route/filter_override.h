#pragma once
// typed_per_filter_config: what one level of a route configuration says about the HTTP filters of
// its connection manager.  Immutable, shared by workers.
//
// route/ keeps it without knowing any filter: core/ parses it (through FilterOverrideParser) by the
// filters' own parsers, and looks it up by the name that a filter has in http_filters.

#include <memory>
#include <string>
#include <vector>

#include "proxy/config/node.h"

namespace pillion::route {

// What a filter's own parser made of its configuration for a route.
class FilterRouteConfig {
 public:
  virtual ~FilterRouteConfig() = default;
};

struct FilterOverride {
  std::string filter;                               // its name in http_filters
  std::shared_ptr<const FilterRouteConfig> config;  // null: only `disabled` counts
  bool disabled = false;                            // false: enabled, even if the list disables it
  // Who made the config (core::HttpFilterType): tables that come by RDS do not know the filters of
  // the managers that use them.
  const void* type = nullptr;
};
using FilterOverrides = std::vector<FilterOverride>;

class FilterOverrideParser {
 public:
  virtual ~FilterOverrideParser() = default;
  // Of a map of filter names to their configurations; null if it is missing or empty.
  virtual std::unique_ptr<const FilterOverrides> parse(const config::Node& map) const = 0;
};

}  // namespace pillion::route
