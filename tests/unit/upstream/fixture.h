#pragma once
// Clusters from YAML, for tests of upstream/ and discovery/.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "proxy/base/str.h"
#include "proxy/config/loader.h"
#include "proxy/upstream/parse.h"

namespace pillion::upstream {

// The test fails if it has errors.
inline std::shared_ptr<const ClusterConfig> cluster_of(std::string_view yaml) {
  config::Errors errors;
  const auto document = config::load_text(yaml, "cluster", errors);
  auto config = parse_cluster(document->root(errors));
  EXPECT_TRUE(errors.ok()) << errors.to_string() << yaml;
  EXPECT_TRUE(errors.unfinished().empty()) << errors.unfinished().front().path;
  return config;
}

// The messages of a cluster, one a line.
inline std::string messages_of(std::string_view yaml) {
  config::Errors errors;
  const auto document = config::load_text(yaml, "cluster", errors);
  if (document != nullptr) (void)parse_cluster(document->root(errors));
  return errors.to_string();
}

// `{ endpoint: ... }` for "10.0.0.1:80" or "name:80".
inline std::string endpoint(std::string_view address, std::string_view fields = {}) {
  const size_t colon = address.rfind(':');
  return str("{ endpoint: { address: { socket_address: { address: ", address.substr(0, colon),
             ", port_value: ", address.substr(colon + 1), " } } }", fields.empty() ? "" : ", ",
             fields, " }");
}

inline std::string endpoints(std::initializer_list<std::string_view> addresses) {
  std::string list;
  for (std::string_view address : addresses) list += (list.empty() ? "" : ", ") + endpoint(address);
  return str("load_assignment: { endpoints: [ { lb_endpoints: [ ", list, " ] } ] }");
}

}  // namespace pillion::upstream
