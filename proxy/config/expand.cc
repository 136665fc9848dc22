#include "proxy/config/expand.h"

#include <algorithm>
#include <array>

#include "proxy/config/expand_parts.h"
#include "proxy/config/google_grpc.h"
#include "proxy/config/mesh.h"
#include "proxy/config/node.h"

namespace pillion::config {
namespace {

constexpr std::array<std::string_view, 15> kBootstrapFields = {"certificate_provider_instances",
                                                               "static_resources",
                                                               "dynamic_resources",
                                                               "node",
                                                               "cluster_manager",
                                                               "stats_config",
                                                               "stats_sinks",
                                                               "layered_runtime",
                                                               "overload_manager",
                                                               "watchdogs",
                                                               "bootstrap_extensions",
                                                               "hds_config",
                                                               "flags_path",
                                                               "stats_flush_interval",
                                                               "node_context_params"};

void write_bootstrap(EnvoyWriter& out, const Mesh& mesh) {
  out.standing_for(mesh.workload.node, [&] {
    out.message("node", [&] {
      out.text("id", mesh.workload.name + "." + mesh.workload.name_space);
      out.text("cluster", mesh.workload.name);
    });
  });
  out.standing_for(mesh.admin_node,
                   [&] { out.message("admin", [&] { out.address("address", mesh.admin); }); });
  write_identity_source(out, mesh);
  out.message("static_resources", [&] {
    out.list("listeners", [&] {
      if (mesh.inbound) write_inbound_listener(out, mesh);
      if (mesh.outbound) write_outbound_listener(out, mesh);
      if (mesh.metrics) write_metrics_listener(out, mesh);
    });
    out.list("clusters", [&] { write_clusters(out, mesh); });
  });
}

}  // namespace

bool is_short_form(const Document& document) {
  Errors unused;
  const Node root = document.root(unused);
  const bool has_envoy_admin = root["admin"].is_mapping() && root["admin"].has("address");
  return !has_envoy_admin && std::none_of(kBootstrapFields.begin(), kBootstrapFields.end(),
                                          [&root](std::string_view key) { return root.has(key); });
}

DocumentPtr expand(const DocumentPtr& short_form, Errors& errors) {
  const Node root = short_form->root(errors);
  const Mesh mesh = parse_mesh(root);
  if (!errors.ok()) errors.drop_what_follows();
  TreeBuilder tree(short_form->source());
  tree.keep_alive(short_form);
  EnvoyWriter out(tree);
  out.standing_for(root, [&] { out.item([&] { write_bootstrap(out, mesh); }); });
  return tree.finish();
}

DocumentPtr load_bootstrap(const std::string& path, std::string_view overlay, Errors& errors) {
  DocumentPtr base = path.empty() ? nullptr : load_file(path, errors);
  DocumentPtr over = overlay.empty() ? nullptr : load_text(overlay, "--config-yaml", errors);
  if (path.empty() && overlay.empty()) {
    errors.error({}, "no configuration: give a file with -c, or --config-yaml");
  }
  const bool base_is_short = base != nullptr && is_short_form(*base);
  const bool over_is_short = over != nullptr && is_short_form(*over);
  // Two short texts are one short file; otherwise both must speak Envoy before they can merge.
  const bool merges_short = over_is_short && (base == nullptr || base_is_short);
  if (!merges_short && base_is_short) base = expand(base, errors);
  if (!merges_short && over_is_short) over = expand(over, errors);
  DocumentPtr merged = merge(base, over);
  return add_google_grpc_clusters(merges_short ? expand(merged, errors) : merged);
}

}  // namespace pillion::config
