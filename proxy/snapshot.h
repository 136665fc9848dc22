#pragma once
// Snapshot: a whole configuration, compiled: an index of shared, individually immutable resources
// (design section 6).  Made by the builder, diffed by control, applied by workers.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/config/config_source.h"
#include "proxy/config/document.h"
#include "proxy/core/listener_config.h"
#include "proxy/io/address.h"
#include "proxy/match/string.h"
#include "proxy/resources.h"
#include "proxy/runtime_layers.h"
#include "proxy/stats/exposition.h"
#include "proxy/tls/context_slot.h"
#include "proxy/upstream/cluster_config.h"
#include "xds/ads.h"

namespace pillion {

// dynamic_resources: what a control plane is asked for, and how it is reached.
struct DynamicConfig {
  bool has_ads = false;
  config::Located<std::string> cluster;           // must be one of the file's
  config::Located<std::string> failover_cluster;  // likewise; empty: there is none
  xds::AdsOptions ads;
  std::optional<config::ConfigSource> cds;        // where clusters come from; none: nowhere
  std::optional<config::ConfigSource> lds;        // listeners likewise
  std::optional<config::GrpcService> load_stats;  // who is told of load
};

// The fields of the bootstrap beside its resources.  Not reloadable, but for `stats`.
struct BootstrapConfig {
  std::string node_id;
  std::string node_cluster;
  std::string node_zone;
  const config::Value* node = nullptr;  // in the document
  std::optional<io::Address> admin;     // none: no admin listener
  stats::ExpositionOptions stats;       // stats_config: matcher and fixed tags
  RuntimeLayersPtr runtime_layers;
  DynamicConfig dynamic;
  // Of what is read at the start only.
  uint64_t dynamic_hash = 0;
  uint64_t admin_hash = 0;
  uint64_t node_hash = 0;
  uint64_t stats_config_hash = 0;
  uint64_t overload_manager_hash = 0;
  std::vector<match::StringMatcher> admin_allowed;  // allow_paths; empty: all pages
  uint64_t max_downstream_connections = 0;          // overload_manager; 0: as descriptors allow
};

struct Snapshot {
  BootstrapConfig bootstrap;
  // In the order of the configuration; names are unique.
  std::vector<std::shared_ptr<const core::ListenerConfig>> listeners;
  std::vector<std::shared_ptr<const upstream::ClusterConfig>> clusters;
  std::shared_ptr<const Resources> resources;  // what these were compiled from
  // The file, in Envoy's schema; keeps every `const config::Value*` alive.
  std::shared_ptr<const config::Document> document;
  // Of every TLS context in use.
  std::vector<std::shared_ptr<const tls::ContextSlot>> tls_slots;
  std::set<std::string> files;  // that it names and that were read: their changes are its own
  config::UnknownFieldMap unknown_fields;  // of the file, with --allow-unknown-static-fields
};

}  // namespace pillion
