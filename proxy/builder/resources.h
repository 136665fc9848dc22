#pragma once
// Resources: what a Snapshot was compiled from, piece by piece, and what waits to become a part of
// it.  The builder's own state: copied, changed and handed on by each build, never changed after.
// Copies share what is equal (base/shared_map.h), so that a build costs what it changes.
//
// A piece from the control plane has two ends: `newest`, the last one that was accepted, and
// `active`, the one in force.  They differ while the newest waits for what it needs (design,
// section 6: make before break):
//   a cluster of type EDS       for its endpoints
//   a cluster                   for the first answer of DNS, and the first round of health checks
//   a cluster, a listener       for the secrets of their TLS contexts
//   a route table               for clusters that CDS has named and that still wait
//   an extension (ECDS)         likewise
//   a route table with VHDS     for its first answer, too
//   a virtual host by VHDS      for such clusters
//   a scope                     for its route table, and for such clusters
//   a listener                  for its route tables and extensions, for SRDS and its tables if
//                               what is in force has none, and for such clusters; and for its
//                               addresses, if they could not be had, or another listener has yet to
//                               leave them
// and when a piece was removed: a cluster that routes in force still name lingers for a while.
// Meanwhile `active` serves, and all others take effect.  A file takes effect as a whole: where it
// is read its pieces wait for endpoints and routes alone, and control for the rest
// (server_apply.cc).

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/admin/server_view.h"
#include "proxy/base/clock.h"
#include "proxy/base/packed_bytes.h"
#include "proxy/base/rare.h"
#include "proxy/base/shared_map.h"
#include "proxy/base/shared_text.h"
#include "proxy/builder/wanted.h"
#include "proxy/config/config_source.h"
#include "proxy/config/document.h"
#include "proxy/config/errors.h"
#include "proxy/config/runtime.h"
#include "proxy/core/listener_config.h"
#include "proxy/route/route_table.h"
#include "proxy/route/scopes.h"
#include "proxy/tls/secret.h"
#include "proxy/upstream/cluster_config.h"
#include "xds/discovery_message.h"

namespace pillion {

// Where a piece was written: a value of a document (of the configuration, or a file that stands for
// a control plane), or a message, whose document is made when somebody looks at it.  The trees of
// ten thousand clusters would take more than all the rest.
struct Origin {
  std::shared_ptr<const config::Document> document;  // keeps `value` alive; null: a message
  const config::Value* value = nullptr;
  PackedBytes message = {};                               // with the name of its resource
  xds::ResourceType type = xds::ResourceType::kClusters;  // of what a control plane said
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

// What ECDS says under a name: a filter.
struct CompiledExtension {
  Origin origin;     // a TypedExtensionConfig
  std::string type;  // of its message
  uint64_t hash = 0;
  std::set<std::string> clusters;  // that it names
};

// VHDS.
struct CompiledVirtualHost {
  Origin origin;
  std::shared_ptr<const route::VirtualHost> host;
  std::set<std::string> clusters;  // that it names
};

// A route table in force, with its virtual hosts by VHDS.
struct JoinedRoutes {
  std::shared_ptr<const route::RouteTable> base;
  std::vector<std::shared_ptr<const route::VirtualHost>> hosts;
  std::shared_ptr<const route::RouteTable> table;
};

// SRDS.
struct CompiledScope {
  Origin origin;
  std::shared_ptr<const route::ScopeConfig> config;
  std::set<std::string> clusters;  // that its own table names
};

struct CompiledListener {
  // A route table by its RDS name.
  struct Table {
    std::shared_ptr<const route::RouteTable> table;      // null: compiled without it
    Duration timeout{};                                  // initial_fetch_timeout
    std::shared_ptr<const config::ConfigSource> source;  // null: ads
    std::set<std::string> stat_prefixes;                 // of the connection managers that use it
    bool on_demand = false;  // asked for when a request needs it; not waited for
    std::vector<std::shared_ptr<const route::UseMark>> uses;  // of its scopes, if so
  };
  // Of connection managers whose scopes come by SRDS.
  struct Srds {
    std::shared_ptr<const route::ScopeTable> scopes;      // null: compiled without it
    Duration timeout{};                                   // initial_fetch_timeout of SRDS
    config::ConfigSourcePtr source;                       // null: ads
    Duration rds_timeout{};                               // of the tables that scopes name
    config::ConfigSourcePtr rds_source;                   // likewise
    std::set<std::pair<std::string, std::string>> users;  // stat_prefix, scoped_routes.name
  };
  Origin origin;
  std::shared_ptr<const core::ListenerConfig> config;
  // An extension by its ECDS name.
  struct Extension {
    std::shared_ptr<const CompiledExtension> used;  // null: compiled without it
    std::set<std::string> types;                    // that it may be of: of all who name it
    std::set<std::string_view> points;              // where it is named: "http_filter"
    Duration timeout{};                             // initial_fetch_timeout
    config::ConfigSourcePtr source;                 // null: ads
    bool must_wait = true;                          // has no default that may go before it
  };
  std::map<std::string, Table> tables;
  std::map<std::string, Extension> extensions;
  std::optional<Srds> srds;
  std::set<std::string> clusters;  // that it names itself
};

// What RTDS says: a layer of the runtime.
struct CompiledRuntimeLayer {
  Origin origin;
  config::RuntimeValues values;
};

struct StaticSecret {
  std::string name;
  tls::SecretPtr secret;
  const config::Value* value = nullptr;  // in the file's document
};

// What else was found where a piece was read.
struct PieceNotes {
  std::set<std::string> files;            // that it names
  std::vector<std::string> runtime_keys;  // that it asked for; sorted unless the two ends differ
};

// Versions of clusters and listeners are empty where they are those of the last response that had
// all of its kind (Resources::clusters_version): ten thousand pieces need not change when it does.
template <typename T>
struct Piece {
  std::shared_ptr<const T> newest;  // null: removed, or never accepted
  std::shared_ptr<const T> active;  // null: not in force
  SharedText version;               // of `newest`
  SharedText active_version;        // of `active`
  WallTime updated{};
  uint64_t bytes_hash = 0;
  Rare<admin::ConfigFailure> error;  // the last update was refused
  Rare<PieceNotes> notes;
  Instant lingers_until{};  // removed, and still in force
  Instant holds_until{};    // a cluster without endpoints: what names it waits; others: they wait

  [[nodiscard]] bool waits() const noexcept { return newest != nullptr && newest != active; }
  [[nodiscard]] bool is_gone() const noexcept {
    return newest == nullptr && active == nullptr && !error;
  }
  void activate() {
    active = newest;
    active_version = version;
    holds_until = {};
  }
  // Before the version that is meant by none changes.
  void fix_version(const SharedText& of_all) {
    if (version.empty()) version = of_all;
  }
  void fix_active_version(const SharedText& of_all) {
    if (active_version.empty() && active != nullptr) active_version = of_all;
  }
};

template <typename T>
using Pieces = SharedMap<Piece<T>>;

struct Resources {
  // From the file; in its order.
  std::vector<Piece<CompiledCluster>> file_clusters;
  std::vector<Piece<CompiledListener>> file_listeners;
  std::vector<StaticSecret> secrets;       // static_resources.secrets
  std::set<std::string> files;             // that the file names
  config::UnknownFieldMap unknown_fields;  // of the file
  // From the control plane; names that the file has are left out.
  Pieces<CompiledCluster> clusters;
  Pieces<CompiledRoutes> routes;
  Pieces<CompiledListener> listeners;
  Pieces<CompiledExtension> extensions;
  Pieces<CompiledRuntimeLayer> runtime_layers;
  Pieces<CompiledVirtualHost> virtual_hosts;  // by the names of their resources
  Pieces<CompiledScope> scopes;
  // Of the control plane too, under names that the file has: in force when it has them no more.
  Pieces<CompiledCluster> shadowed_clusters;
  Pieces<CompiledListener> shadowed_listeners;
  // Of the last state of the world; see Piece.
  SharedText clusters_version;
  SharedText listeners_version;

  // The final values of the runtime, which everything here was compiled with.
  std::shared_ptr<const config::Runtime> runtime = std::make_shared<const config::Runtime>();
  std::shared_ptr<const config::RuntimeValues> admin_values;  // by /runtime_modify; null: none
  bool has_virtual_hosts = false;                             // VHDS was answered
  // The tables in force that have VHDS, by their names.
  SharedMap<std::shared_ptr<const JoinedRoutes>> joined_routes;
  bool has_scopes = false;  // SRDS was answered
  // Of those in force; null: has_scopes is false.
  std::shared_ptr<const route::ScopeTable> scope_table;
  // RDS names of on-demand scopes that requests have asked for.
  SharedNames demanded_routes;

  // Names of the pieces that settle() must look at: they have changed, wait, hold or linger.  Of
  // virtual hosts and scopes, which number some thousands at most, all are looked at if one is.
  struct Unsettled {
    std::set<std::string> clusters;
    std::set<std::string> routes;
    std::set<std::string> listeners;
    std::set<std::string> extensions;
    bool virtual_hosts = false;
    bool scopes = false;
  };
  Unsettled unsettled;
  // RDS names that listeners and scopes need, the newest and those in force; null: to be found out
  // again, because a listener, a scope, or what requests ask for has changed.
  std::shared_ptr<const WantedNames> wanted_routes;

  // Something was named that is asked of another source than ads: see source_claims.h.
  bool has_own_sources = false;

  // Clusters and listeners that wait for something before they are in force for the first time.
  size_t warming_clusters = 0;
  size_t warming_listeners = 0;
  // Likewise to take the place of what is in force.
  size_t changing_clusters = 0;
  size_t changing_listeners = 0;
  Instant next_deadline{};  // when something lingers or holds no longer; the epoch: never
};

}  // namespace pillion
