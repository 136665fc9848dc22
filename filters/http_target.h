#pragma once
// HttpTarget: envoy.config.core.v3.HttpUri: where a filter asks by HTTP.

#include <string>

#include "proxy/base/clock.h"
#include "proxy/core/http_filter.h"

namespace pillion::filters {

struct HttpTarget {
  std::string cluster;
  std::string authority;  // of the URI, with its port
  std::string path;       // "/" if the URI has none
  Duration timeout{};
};

// Errors go to the node's list; the cluster is looked up by the context.
HttpTarget parse_http_target(const config::Node& node, const core::FilterParseContext& context);

// A name of a header, lower case; an error if it can be none, or is a pseudo-header.
std::string parse_header_name(const config::Node& node);

// A cluster that must exist.
std::string parse_cluster(const config::Node& node, const core::FilterParseContext& context);

}  // namespace pillion::filters
