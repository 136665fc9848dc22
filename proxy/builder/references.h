#pragma once
// Clusters that something names must be there, and of the kind that it needs.  Internal to the
// builder.

#include <string>
#include <string_view>
#include <vector>

#include "proxy/builder/resources.h"
#include "proxy/builder/snapshot.h"
#include "proxy/config/errors.h"
#include "proxy/config/node.h"

namespace pillion {

// An error for each of `used` that is no cluster of the file.
void refuse_unknown_clusters(const Resources& resources,
                             const std::vector<config::Located<std::string>>& used,
                             config::Errors& errors);
// An error if this cluster of the file does not speak what gRPC needs.  `who`: uses it.
void check_grpc_cluster(const Resources& resources, const config::Located<std::string>& name,
                        std::string_view who, config::Errors& errors);
// What secrets of the file are fetched from; adds the clusters to `used`.
void check_secret_sources(const Resources& resources,
                          std::vector<config::Located<std::string>>& used,
                          const config::Node& node);
// Likewise control planes.
void check_sources(const Resources& resources, const BootstrapConfig& bootstrap,
                   std::vector<config::Located<std::string>>& used, const config::Node& root);

}  // namespace pillion
