#include "proxy/builder.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "filters/registry.h"
#include "proxy/base/str.h"
#include "proxy/bootstrap.h"
#include "proxy/config/expand.h"
#include "proxy/config/suggest.h"
#include "proxy/core/parse.h"
#include "proxy/telemetry/access_log.h"
#include "proxy/telemetry/header_formats.h"
#include "proxy/telemetry/local_replies.h"
#include "proxy/upstream/parse.h"

namespace pillion {
namespace {

using config::Located;
using config::Node;

class Services final : public core::ParseServices {
 public:
  Services(LogWriter* writer, std::string_view node_cluster)
      : writer_(writer), node_cluster_(node_cluster) {}
  std::vector<std::shared_ptr<const core::AccessLogger>> access_logs(const Node& list) override {
    return telemetry::parse_access_logs(list, writer_);
  }
  std::shared_ptr<const core::LocalReplies> local_replies(const Node& node) override {
    return telemetry::parse_local_replies(node);
  }
  const route::FormatFactory& header_formats() override { return formats_; }
  std::span<const core::HttpFilterType> http_filters() override { return filters::http_filters(); }
  [[nodiscard]] std::string_view node_cluster() const override { return node_cluster_; }

 private:
  LogWriter* writer_;
  std::string_view node_cluster_;
  telemetry::HeaderFormats formats_;
};

void parse_clusters(Snapshot& out, const Node& list) {
  std::unordered_set<std::string_view> names;
  for (const Node node : list.items()) {
    std::shared_ptr<const upstream::ClusterConfig> cluster = upstream::parse_cluster(node);
    if (!cluster->name.empty() && !names.insert(cluster->name).second) {
      node["name"].error(
          str("another cluster is called \"", config::printable(cluster->name), "\" already"));
    }
    out.clusters.push_back(std::move(cluster));
  }
}

// A second listener on a port would take half of its connections, or none.
void refuse_same_address(const core::ListenerConfig& listener, const Node& node,
                         std::unordered_map<std::string, std::string>& used) {
  if (!listener.bind_to_port) return;
  const auto refuse = [&](const io::Address& address, const Node& where) {
    if (address.kind() == io::Address::Kind::kNone) return;
    if (address.is_ip() && address.port() == 0) return;  // each gets a port of its own
    const auto [it, is_new] = used.emplace(address.to_string(), listener.name);
    if (is_new) return;
    where.error(
        str("listener \"", config::printable(it->second), "\" listens on ", it->first, " already"));
  };
  refuse(listener.address, node["address"]);
  size_t i = 0;
  for (const Node item : node["additional_addresses"].items())
    refuse(listener.additional_addresses[i++], item["address"]);
}

void parse_listeners(Snapshot& out, const Node& list, const core::ParseContext& context) {
  std::unordered_set<std::string_view> names;
  std::unordered_map<std::string, std::string> used;
  if (out.bootstrap.admin) used.emplace(out.bootstrap.admin->to_string(), "admin");
  for (const Node node : list.items()) {
    std::shared_ptr<const core::ListenerConfig> listener = core::parse_listener(node, context);
    if (!names.insert(listener->name).second) {
      node["name"].error(
          str("another listener is called \"", config::printable(listener->name), "\" already"));
    }
    refuse_same_address(*listener, node, used);
    out.listeners.push_back(std::move(listener));
  }
}

void refuse_unknown_clusters(const Snapshot& snapshot,
                             const std::vector<Located<std::string>>& used,
                             config::Errors& errors) {
  std::vector<std::string_view> names;
  for (const auto& cluster : snapshot.clusters) names.push_back(cluster->name);
  for (const Located<std::string>& name : used) {
    if (name.value.empty() || std::find(names.begin(), names.end(), name.value) != names.end())
      continue;
    errors.error(name.where, str("unknown cluster \"", config::printable(name.value), '"',
                                 config::did_you_mean(name.value, names)));
  }
}

void collect_contexts(Snapshot& out) {
  const auto add = [&out](const std::shared_ptr<const tls::Context>& context) {
    if (context != nullptr &&
        std::ranges::find(out.tls_contexts, context) == out.tls_contexts.end()) {
      out.tls_contexts.push_back(context);
    }
  };
  for (const auto& listener : out.listeners) {
    for (const auto& chain : listener->chains) add(chain->tls);
    if (listener->default_chain) add(listener->default_chain->tls);
  }
  for (const auto& cluster : out.clusters) add(cluster->pool.tls);
}

void parse_resources(Snapshot& out, const Node& node, LogWriter* writer, config::Errors& errors) {
  Services services(writer, out.bootstrap.node_cluster);
  std::vector<Located<std::string>> used;
  parse_clusters(out, node["clusters"]);
  parse_listeners(out, node["listeners"], {services, used});
  node.unsupported({"secrets"}, "comes with a later version; name the files in the TLS context");
  node.reject_unknown_keys();
  refuse_unknown_clusters(out, used, errors);
  collect_contexts(out);
}

}  // namespace

std::shared_ptr<const Snapshot> build_snapshot(const Options& options, LogWriter* writer,
                                               config::Errors& errors) {
  auto out = std::make_shared<Snapshot>();
  out->document = config::load_bootstrap(options.config_path, options.config_yaml, errors);
  if (out->document == nullptr) return nullptr;
  const Node root = out->document->root(errors);
  const Node resources = root["static_resources"];
  out->bootstrap = parse_bootstrap(root, options);
  // A configuration that is refused already is checked to its end, and opens no log.
  if (!errors.ok()) writer = nullptr;
  if (resources.is_present()) parse_resources(*out, resources, writer, errors);
  out->files = errors.files();
  out->unknown_fields = errors.unknown_fields();
  return errors.ok() ? out : nullptr;
}

}  // namespace pillion
