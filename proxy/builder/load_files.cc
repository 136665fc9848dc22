#include "proxy/builder/load_files.h"

#include <unordered_set>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/builder/ads_sources.h"
#include "proxy/builder/bootstrap.h"
#include "proxy/builder/compile.h"
#include "proxy/builder/references.h"
#include "proxy/builder/source_claims.h"
#include "proxy/builder/used_addresses.h"
#include "proxy/config/expand.h"
#include "proxy/config/suggest.h"

namespace pillion {

using config::Located;
using config::Node;

namespace {

template <typename T>
void add_of_file(std::vector<Piece<T>>& list, std::shared_ptr<const T> made, const Node& node) {
  Piece<T>& piece = list.emplace_back();
  piece.newest = std::move(made);
  std::vector<std::string> keys = node.errors()->take_runtime_keys();
  if (!keys.empty()) piece.notes = PieceNotes{{}, std::move(keys)};
}

void load_clusters(Resources& out, Compiler& compiler, const Node& list, const Snapshot& snapshot,
                   const std::stop_token& cancelled) {
  std::unordered_set<std::string_view> names;
  SourceClaims claims;
  for (const Node node : list.items()) {
    if (cancelled.stop_requested()) return;
    const auto cluster = std::make_shared<const CompiledCluster>(
        compiler.cluster(node, {snapshot.document, node.value()}));
    const SharedText& name = cluster->config->name;
    if (!name.empty() && !names.insert(name).second) {
      node["name"].error(
          str("another cluster is called \"", config::printable(name), "\" already"));
    }
    if (!snapshot.bootstrap.dynamic.has_ads) refuse_ads_sources(node);
    claim_sources(claims, *cluster, node);
    out.has_own_sources |= has_own_source(*cluster);
    add_of_file(out.file_clusters, cluster, node);
  }
}

void load_listeners(Resources& out, Compiler& compiler, const Node& list, const Snapshot& snapshot,
                    std::vector<Located<std::string>>& must_exist,
                    const std::stop_token& cancelled) {
  // With CDS the others may come by it.
  const bool is_complete = !snapshot.bootstrap.dynamic.cds;
  std::unordered_set<std::string> names;
  SourceClaims claims;
  UsedAddresses used;
  if (snapshot.bootstrap.admin) used.add(snapshot.bootstrap.admin->to_string(), "admin");
  for (const Node node : list.items()) {
    if (cancelled.stop_requested()) return;
    const auto listener = std::make_shared<const CompiledListener>(compiler.listener(
        node, {snapshot.document, node.value()}, is_complete ? &must_exist : nullptr));
    const std::string& name = listener->config->name;
    if (!names.insert(name).second) {
      node["name"].error(
          str("another listener is called \"", config::printable(name), "\" already"));
    }
    if (!snapshot.bootstrap.dynamic.has_ads) {
      refuse_ads_sources(node);
      refuse_ads_tables(*listener, node);
    }
    claim_sources(claims, *listener->config, node);
    out.has_own_sources |= has_own_source(*listener);
    UsedAddresses::report(used.take(*listener->config), node);
    add_of_file(out.file_listeners, listener, node);
  }
}

void load_secrets(Resources& out, const Node& list) {
  std::set<std::string> names;
  for (const Node node : list.items()) {
    StaticSecret secret;
    secret.secret = tls::parse_secret(node, secret.name);
    secret.value = node.value();
    const Node name = node.required("name");
    if (secret.name.empty()) {
      if (name.is_present()) name.expected("the name of the secret");
    } else if (!names.insert(secret.name).second) {
      node["name"].error(
          str("another secret is called \"", config::printable(secret.name), "\" already"));
    }
    out.secrets.push_back(std::move(secret));
  }
}

}  // namespace

bool load_files(Snapshot& out, Resources& resources, const Options& options, Sinks sinks,
                config::Errors& errors, const std::stop_token& cancelled) {
  out.document = config::load_bootstrap(options.config_path, options.config_yaml, errors);
  if (out.document == nullptr) return false;
  const Node root = out.document->root(errors);
  const Node node = root["static_resources"];
  out.bootstrap = parse_bootstrap(root, options);
  resources.runtime = std::make_shared<const config::Runtime>(
      merge_layers(*out.bootstrap.runtime_layers, resources));
  errors.use(*resources.runtime);
  (void)errors.take_runtime_keys();  // of what is read at the start only
  // A configuration that is refused already is checked to its end, and opens no log.
  if (!errors.ok()) sinks.logs = nullptr;
  resources.file_clusters.clear();
  resources.file_listeners.clear();
  resources.secrets.clear();
  std::vector<Located<std::string>> used;
  if (node.is_present()) {
    Compiler compiler(sinks, out.bootstrap.node_id, out.bootstrap.node_cluster, resources);
    load_clusters(resources, compiler, node["clusters"], out, cancelled);
    load_listeners(resources, compiler, node["listeners"], out, used, cancelled);
    load_secrets(resources, node["secrets"]);
    check_secret_sources(resources, used, node);
    node.reject_unknown_keys();
  }
  check_sources(resources, out.bootstrap, used, root);
  refuse_unknown_clusters(resources, used, errors);
  resources.files = errors.files();
  resources.unknown_fields = errors.unknown_fields();
  return true;
}

}  // namespace pillion
