#include "proxy/builder/waits.h"

#include <utility>

#include "proxy/base/str.h"
#include "proxy/builder/scoped_routes.h"
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
      : resources_(resources), settled_(settled) {
    for (const auto& piece : resources.file_clusters) note_cluster(piece);
    for (const auto& [name, piece] : resources.clusters) note_cluster(piece);
  }

  std::vector<Wait> run() {
    for (const auto& [name, piece] : resources_.routes) {
      if (piece.waits()) add_table(name, piece);
    }
    add_those_of_clusters(Wait::Kind::kVirtualHost, resources_.virtual_hosts);
    for (const auto& [name, piece] : resources_.scopes) {
      if (piece.waits()) add_scope(name, *piece.newest);
    }
    add_those_of_clusters(Wait::Kind::kExtension, resources_.extensions);
    const auto look = [this](const Piece<CompiledListener>& piece) {
      if (piece.waits()) add_listener(*piece.newest, piece.active == nullptr);
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

  void await_clusters(Wait& wait, const std::set<std::string>& named) const {
    for (const std::string& name : named) {
      if (clusters_.contains(name))
        add_target(wait, str("Cluster ", name),
                   str("the cluster \"", name, "\", which waits itself"));
    }
  }

  void await_table(Wait& wait, const std::string& name) const {
    const auto piece = resources_.routes.find(name);
    const bool is_known = piece != resources_.routes.end();
    if (is_known && piece->second.active != nullptr) return;
    add_shared_target(wait, str("RdsRouteConfigSubscription RDS init ", name),
                      is_known && piece->second.newest != nullptr
                          ? str("the routes \"", name, "\", which wait themselves")
                          : str("the routes \"", name, "\" (RDS), which have not come",
                                is_known ? refusal_of(piece->second.error) : std::string()));
  }

  void await_extension(Wait& wait, const std::string& name) const {
    const auto piece = resources_.extensions.find(name);
    const bool is_known = piece != resources_.extensions.end();
    if (is_known && piece->second.active != nullptr) return;
    add_shared_target(wait, str("FilterConfigSubscription init ", name),
                      is_known && piece->second.newest != nullptr
                          ? str("the filter \"", name, "\", which waits itself")
                          : str("the filter \"", name, "\" (ECDS), which has not come",
                                is_known ? refusal_of(piece->second.error) : std::string()));
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
    await_clusters(wait, piece.newest->clusters);
    if (piece.newest->table->has_vhds() && piece.active == nullptr && !resources_.has_virtual_hosts)
      add_target(wait, str("VhdsConfigSubscription ", name),
                 "its first virtual hosts (VHDS), which have not come");
    keep(std::move(wait));
  }

  void add_scope(const std::string& name, const CompiledScope& scope) {
    Wait wait{Wait::Kind::kScope, name, {}, {}};
    if (const std::string* table = rds_name_of(scope, resources_)) await_table(wait, *table);
    await_clusters(wait, scope.clusters);
    keep(std::move(wait));
  }

  template <typename T>
  void add_those_of_clusters(Wait::Kind kind, const Pieces<T>& pieces) {
    for (const auto& [name, piece] : pieces) {
      if (!piece.waits()) continue;
      Wait wait{kind, name, {}, {}};
      await_clusters(wait, piece.newest->clusters);
      keep(std::move(wait));
    }
  }

  void add_listener(const CompiledListener& listener, bool is_first) {
    Wait wait{Wait::Kind::kListener, listener.config->name, {}, {}};
    for (const auto& [name, table] : listener.tables) {
      if (!table.on_demand) await_table(wait, name);
    }
    for (const auto& [name, extension] : listener.extensions) {
      if (extension.must_wait) await_extension(wait, name);
    }
    if (listener.srds && is_first) await_scopes(wait);
    await_clusters(wait, listener.clusters);
    add_secrets_of(wait, *listener.config, settled_);
    keep(std::move(wait));
  }

  const Resources& resources_;
  const tls::SettledSecrets& settled_;
  std::set<std::string> clusters_;  // that others wait for
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
