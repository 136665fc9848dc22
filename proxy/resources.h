#pragma once
// Resources: what a Snapshot was compiled from, piece by piece, and what waits to become a part of
// it.  The builder's own state: copied, changed and handed on by each build, never changed after.
// Copies share what is equal (base/shared_map.h), so that a build costs what it changes.
//
// A piece from the control plane has two ends: `newest`, the last one that was accepted, and
// `active`, the one in force.  They differ while the newest waits for what it needs (design,
// section 6: make before break):
//   a cluster of type EDS       for its endpoints
//   a route table               for clusters that CDS has named and that still wait
//   a listener                  for its route tables, and for such clusters
// and when a piece was removed: a cluster that routes in force still name lingers for a while.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "proxy/admin/server_view.h"
#include "proxy/base/clock.h"
#include "proxy/base/rare.h"
#include "proxy/base/shared_map.h"
#include "proxy/config/document.h"
#include "proxy/config/errors.h"
#include "proxy/core/listener_config.h"
#include "proxy/route/route_table.h"
#include "proxy/tls/secret.h"
#include "proxy/upstream/cluster_config.h"
#include "xds/discovery_message.h"

namespace pillion {

// Where a piece was written: a value of a document, or a message, whose document is made when
// somebody looks at it.  The trees of ten thousand clusters would take more than all the rest.
struct Origin {
  std::shared_ptr<const config::Document> document;  // keeps `value` alive; null: a message
  const config::Value* value = nullptr;
  std::string message = {};
  xds::ResourceType type = xds::ResourceType::kClusters;  // of the message
};

struct OpenOrigin {
  std::shared_ptr<const config::Document> document;
  const config::Value* value = nullptr;  // null: see the errors
};
// `name`: of the resource, for the places of a message ("cds/NAME").
OpenOrigin open_origin(const Origin& origin, std::string_view name, config::Errors& errors);

struct CompiledCluster {
  Origin origin;
  std::shared_ptr<const upstream::ClusterConfig> config;
};

struct CompiledRoutes {
  Origin origin;
  std::shared_ptr<const route::RouteTable> table;
  std::set<std::string> clusters;  // that it names
};

struct CompiledListener {
  // A route table by its RDS name.
  struct Table {
    std::shared_ptr<const route::RouteTable> table;  // null: compiled without it
    Duration timeout{};                              // initial_fetch_timeout
    std::set<std::string> stat_prefixes;             // of the connection managers that use it
  };
  Origin origin;
  std::shared_ptr<const core::ListenerConfig> config;
  std::map<std::string, Table> tables;
  std::set<std::string> clusters;  // that it names itself
};

struct StaticSecret {
  std::string name;
  tls::SecretPtr secret;
  const config::Value* value = nullptr;  // in the file's document
};

// What else was found where a piece was read.
struct PieceNotes {
  std::set<std::string> files;  // that it names
  std::map<std::string, uint64_t> unknown_fields;
};

// Versions are empty where they are those of the last response that had all of its kind
// (Resources::clusters_version): ten thousand pieces need not change when it does.
template <typename T>
struct Piece {
  std::shared_ptr<const T> newest;  // null: removed, or never accepted
  std::shared_ptr<const T> active;  // null: not in force
  std::string version;              // of `newest`
  std::string active_version;       // of `active`
  WallTime updated{};
  uint64_t bytes_hash = 0;
  Rare<admin::ConfigFailure> error;  // the last update was refused
  Rare<PieceNotes> notes;
  Instant lingers_until{};  // removed, and still in force
  Instant holds_until{};    // a cluster without endpoints: what names it waits

  [[nodiscard]] bool waits() const noexcept { return newest != nullptr && newest != active; }
  void activate() {
    active = newest;
    active_version = version;
  }
  // Before the version that is meant by none changes.
  void fix_version(const std::string& of_all) {
    if (version.empty()) version = of_all;
  }
  void fix_active_version(const std::string& of_all) {
    if (active_version.empty() && active != nullptr) active_version = of_all;
  }
};

template <typename T>
using Pieces = SharedMap<Piece<T>>;

struct Resources {
  // From the file; in its order.
  std::vector<Piece<CompiledCluster>> file_clusters;
  std::vector<Piece<CompiledListener>> file_listeners;
  std::vector<StaticSecret> secrets;  // static_resources.secrets
  std::set<std::string> files;        // that the file names
  std::map<std::string, uint64_t> unknown_fields;
  // From the control plane; names that the file has are left out.
  Pieces<CompiledCluster> clusters;
  Pieces<CompiledRoutes> routes;
  Pieces<CompiledListener> listeners;
  // Of the last state of the world; see Piece.
  std::string clusters_version;
  std::string listeners_version;

  // Names of the pieces that settle() must look at: they have changed, wait, hold or linger.
  struct Unsettled {
    std::set<std::string> clusters;
    std::set<std::string> routes;
    std::set<std::string> listeners;
  };
  Unsettled unsettled;
  // RDS names that listeners need, the newest and those in force, with their timeouts; null: to be
  // found out again.
  std::shared_ptr<const std::map<std::string, Duration>> wanted_routes;

  // Clusters and listeners that wait for something before they are in force for the first time.
  size_t warming_clusters = 0;
  size_t warming_listeners = 0;
  Instant next_deadline{};  // when something lingers or holds no longer; the epoch: never
};

}  // namespace pillion
