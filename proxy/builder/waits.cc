#include "proxy/builder/waits.h"

#include <unordered_map>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/builder/listen_addresses.h"
#include "proxy/builder/scoped_routes.h"
#include "proxy/builder/unknown_clusters.h"
#include "proxy/builder/warming.h"

namespace pillion {
namespace {

using admin::Wait;

std::string refusal_of(const Rare<admin::ConfigFailure>& error) {
  return error ? str("; what came was refused: ", trim(error->details)) : std::string();
}

template <typename Config>
void add_secrets_of(Wait& wait, const Config& config, const tls::SettledSecrets& settled) {
  std::set<std::string> told;
  const auto look = [&](const tls::SecretRef& ref) {
    if (settled.has(ref) || !told.insert(ref.name).second) return;
    add_target(wait, str("SdsApi ", ref.name),
               str("the secret \"", ref.name, "\" (SDS), which has not come"));
  };
  for_each_tls(config, [&look](const auto& slot) { for_each_ref(slot->secrets(), look); });
}

class Waits {
 public:
  Waits(const Resources& resources, const tls::SettledSecrets& settled)
      : resources_(resources), settled_(settled), unknown_(resources) {
    for (const auto& piece : resources.file_clusters) note_cluster(piece);
    for (const auto& [name, piece] : resources.clusters) note_cluster(piece);
  }

  std::vector<Wait> run() {
    for (const auto& [name, piece] : resources_.routes) {
      if (piece.waits()) add_table(name, piece);
    }
    add_those_of_clusters(Wait::Kind::kVirtualHost, resources_.virtual_hosts);
    for (const auto& [name, piece] : resources_.scopes) {
      if (piece.waits()) add_scope(name, piece);
    }
    add_those_of_clusters(Wait::Kind::kExtension, resources_.extensions);
    const auto look = [this](const Piece<CompiledListener>& piece) {
      if (piece.waits()) add_listener(piece);
    };
    for (const auto& piece : resources_.file_listeners) look(piece);
    for (const auto& [name, piece] : resources_.listeners) look(piece);
    return std::move(out_);
  }

 private:
  void note_cluster(const Piece<CompiledCluster>& piece) {
    if (piece.waits() && piece.active == nullptr) clusters_.insert(piece.newest->config->name);
  }

  void keep(Wait wait) {
    if (!wait.targets.empty()) out_.push_back(std::move(wait));
  }

  template <typename T>
  void await_clusters(Wait& wait, const Piece<T>& piece) const {
    const auto add = [&wait](const std::string& name, std::string_view which) {
      add_target(wait, str("Cluster ", name), str("the cluster \"", name, "\", which ", which));
    };
    for (const std::string& name : piece.newest->clusters)
      if (clusters_.contains(name)) add(name, "waits itself");
    if (piece.holds_until == Instant{}) return;
    if (const std::string* name = unknown_.named_by(piece)) add(*name, "CDS has not told of");
  }

  // What a resource that comes by name is called, and its target by Envoy.
  struct Words {
    std::string_view target;
    std::string_view what;
    std::string_view has_not_come;
    std::string_view waits_itself;
  };
  static constexpr Words kTable = {"RdsRouteConfigSubscription RDS init ", "the routes",
                                   " (RDS), which have not come", ", which wait themselves"};
  static constexpr Words kExtension = {"FilterConfigSubscription init ", "the filter",
                                       " (ECDS), which has not come", ", which waits itself"};

  template <typename T>
  static void await(Wait& wait, const Words& words, const std::string& name,
                    const Pieces<T>& pieces) {
    const auto it = pieces.find(name);
    const Piece<T>* const piece = it == pieces.end() ? nullptr : &it->second;
    if (piece != nullptr && piece->active != nullptr) return;
    const bool has_come = piece != nullptr && piece->newest != nullptr;
    add_shared_target(
        wait, str(words.target, name),
        str(words.what, " \"", name, '"', has_come ? words.waits_itself : words.has_not_come,
            has_come || piece == nullptr ? std::string() : refusal_of(piece->error)));
  }

  // Of the first moment: later ones find those that are there.
  void await_scopes(Wait& wait) const {
    constexpr std::string_view kTarget = "ConfigSubscriptionCommonBase init target 'SRDS'";
    if (!resources_.has_scopes)
      return add_target(wait, kTarget, "the scopes (SRDS), which have not come");
    for (const auto& [name, piece] : resources_.scopes) {
      if (piece.waits() && piece.active == nullptr)
        add_target(wait, kTarget, str("the scope \"", name, "\", which waits itself"));
    }
  }

  void add_table(const std::string& name, const Piece<CompiledRoutes>& piece) {
    Wait wait{Wait::Kind::kRoute, name, {}, {}};
    await_clusters(wait, piece);
    if (piece.newest->table->has_vhds() && piece.active == nullptr && !resources_.has_virtual_hosts)
      add_target(wait, str("VhdsConfigSubscription ", name),
                 "its first virtual hosts (VHDS), which have not come");
    keep(std::move(wait));
  }

  void add_scope(const std::string& name, const Piece<CompiledScope>& piece) {
    Wait wait{Wait::Kind::kScope, name, {}, {}};
    if (const std::string* table = rds_name_of(*piece.newest, resources_))
      await(wait, kTable, *table, resources_.routes);
    await_clusters(wait, piece);
    keep(std::move(wait));
  }

  template <typename T>
  void add_those_of_clusters(Wait::Kind kind, const Pieces<T>& pieces) {
    for (const auto& [name, piece] : pieces) {
      if (!piece.waits()) continue;
      Wait wait{kind, name, {}, {}};
      await_clusters(wait, piece);
      keep(std::move(wait));
    }
  }

  void add_listener(const Piece<CompiledListener>& piece) {
    const CompiledListener& listener = *piece.newest;
    Wait wait{Wait::Kind::kListener, listener.config->name, {}, {}};
    for (const auto& [name, table] : listener.tables) {
      if (!table.on_demand) await(wait, kTable, name, resources_.routes);
    }
    for (const auto& [name, extension] : listener.extensions) {
      if (extension.must_wait) await(wait, kExtension, name, resources_.extensions);
    }
    if (begins_with_scopes(piece)) await_scopes(wait);
    await_clusters(wait, piece);
    add_secrets_of(wait, *listener.config, settled_);
    // Who has all else leaves together with who has the address (listener_moves.h).
    if (wait.targets.empty()) await_addresses(wait, *listener.config);
    keep(std::move(wait));
  }

  void await_addresses(Wait& wait, const core::ListenerConfig& listener) {
    if (owners_.empty()) note_owners();
    for (const io::Address& address : own_addresses(listener)) {
      const auto owner = owners_.find(address);
      if (owner == owners_.end() || owner->second == listener.name) continue;
      add_target(wait, str("Socket ", listener.name),
                 str("its address ", address.to_string(), ", which the listener \"", owner->second,
                     "\" still has"));
    }
  }

  void note_owners() {
    const auto note = [this](const Piece<CompiledListener>& piece) {
      if (piece.active == nullptr) return;
      for (const io::Address& address : own_addresses(*piece.active->config))
        owners_.emplace(address, piece.active->config->name);
    };
    for (const auto& piece : resources_.file_listeners) note(piece);
    for (const auto& [name, piece] : resources_.listeners) note(piece);
  }

  const Resources& resources_;
  const tls::SettledSecrets& settled_;
  UnknownClusters unknown_;
  std::set<std::string> clusters_;  // that others wait for
  // Addresses of listeners in force, once somebody has asked.
  std::unordered_map<io::Address, std::string_view, io::Address::Hash> owners_;
  std::vector<Wait> out_;
};

}  // namespace

void add_target(Wait& wait, std::string_view target, std::string reason) {
  wait.targets.push_back(str("target ", target));
  wait.reasons.push_back(std::move(reason));
}

void add_shared_target(Wait& wait, std::string_view target, std::string reason) {
  wait.targets.push_back(str("shared target ", target));
  wait.reasons.push_back(std::move(reason));
}

void add_secret_targets(Wait& wait, const upstream::ClusterConfig& cluster,
                        const tls::SettledSecrets& settled) {
  add_secrets_of(wait, cluster, settled);
}

std::vector<Wait> waits_of_pieces(const Resources& resources, const tls::SettledSecrets& settled) {
  return Waits(resources, settled).run();
}

}  // namespace pillion
