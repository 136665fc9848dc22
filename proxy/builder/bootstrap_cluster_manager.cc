#include "proxy/builder/bootstrap_cluster_manager.h"

namespace pillion {

void parse_cluster_manager(BootstrapConfig& out, const config::Node& node) {
  if (node.is_missing()) return;
  if (const config::Node load = node["load_stats_config"])
    out.dynamic.load_stats = config::parse_api_config_source(load);
  // Clusters are made when they are first called, in any case.
  node.ignore({"enable_deferred_cluster_creation"});
  node.unsupported({"local_cluster_name", "outlier_detection", "upstream_bind_config"},
                   "comes with a later version");
  node.reject_unknown_keys();
}

}  // namespace pillion
