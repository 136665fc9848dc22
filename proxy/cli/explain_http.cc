#include <utility>

#include "proxy/base/rng.h"
#include "proxy/base/str.h"
#include "proxy/cli/explain_parts.h"
#include "proxy/core/http_filter_chain.h"
#include "proxy/core/request_headers.h"
#include "proxy/match/canonical_path.h"
#include "proxy/route/route_table.h"

namespace pillion::cli {
namespace {

// Any number would do: it stands for the dice of fractions and weights.
constexpr uint64_t kRandom = 0x9e3779b97f4a7c15;

// False: the path alone decides the answer.
bool explain_path(const core::HcmConfig& config, http::RequestHead& head, Lines& lines) {
  if (head.path.empty() || head.path == "*") return true;
  const std::string_view before = head.path;
  const match::PathResult result =
      match::canonicalize(head.path, config.path, head.headers.arena());
  if (result.verdict == match::PathVerdict::kReject) {
    lines.push_back(
        "path: refused (a fragment, a NUL, an escaped slash or overlong UTF-8); the answer is 400");
    return false;
  }
  if (result.path != before) lines.push_back(str("path: ", before, " becomes ", result.path));
  if (result.verdict == match::PathVerdict::kRedirect) {
    lines.push_back("path: the answer is 307, to the path without escaped slashes");
    return false;
  }
  head.path = result.path;
  return true;
}

void explain_rewrite(const route::RouteMatch& match, const core::HcmConfig& config,
                     http::RequestHead& head, Lines& lines) {
  const std::string path(head.path);
  const std::string authority(head.authority);
  const core::StreamInfo info;
  route::finalize_request(match, head, &info, !config.suppress_envoy_headers);
  if (head.path != path) lines.push_back(str("path sent: ", head.path));
  if (head.authority != authority) lines.push_back(str("host sent: ", head.authority));
}

// False: a filter refuses the request.
bool explain_filters(const core::HcmConfig& config, const core::ConnectionInfo& connection,
                     const http::RequestHead& head, const route::RouteMatch& match, Lines& lines) {
  if (config.filters == nullptr) return true;
  const core::FilterLevels levels = core::filter_levels(match);
  for (const core::HttpFilterChain::Entry& entry : config.filters->entries()) {
    const core::FilterUse use = core::use_of(entry, levels);
    if (use.is_disabled) continue;
    const core::FilterExplanation said =
        entry.factory->explain({head, connection, match, use.config});
    if (!said.text.empty()) lines.push_back(str("filter ", entry.name, ": ", said.text));
    if (said.refuses) return false;
  }
  return true;
}

const route::RouteTable* find_table(const core::HcmConfig& config, const http::RequestHead& head,
                                    Lines& lines) {
  if (config.scoped == nullptr) return config.routes.get();
  const route::ScopeTable::Scope* scope = config.scope_of(head);
  if (scope == nullptr) {
    lines.push_back("scope: none has the key of this request; the answer is 404");
    return nullptr;
  }
  lines.push_back(str("scope: ", scope->config->name));
  if (scope->table == nullptr)
    lines.push_back(str("routes: \"", scope->config->rds_name, "\" comes from a control plane"));
  return scope->table.get();
}

}  // namespace

void explain_http(const Known& known, const core::HcmConfig& config,
                  const core::ConnectionInfo& connection, http::RequestHead& head, Lines& lines) {
  Rng rng(kRandom);
  core::prepare_request(head, config, connection, rng);
  if (!explain_path(config, head, lines)) return;
  const bool is_https = head.scheme == "https";
  const route::RouteTable* table = find_table(config, head, lines);
  if (table == nullptr) return;
  if (!table->name().empty()) lines.push_back(str("routes: ", table->name()));
  if (known.facts != nullptr && !config.rds_name.empty()) {
    if (config.lacks_routes)
      lines.push_back(str("routes: \"", config.rds_name, "\" have not come; the answer is 404"));
    known.facts->routes(config.rds_name, lines);
  }
  for (std::string& line : table->explain(head, kRandom, is_https))
    lines.push_back(std::move(line));
  const route::RouteMatch match = table->match(head, kRandom, is_https);
  if (!explain_filters(config, connection, head, match, lines)) return;
  if (!match || match.route->kind != route::Route::Kind::kForward) return;
  const std::string cluster(route::cluster_name(match, head));
  explain_rewrite(match, config, head, lines);
  if (!cluster.empty()) explain_cluster(known, cluster, connection, Content::kPlain, lines);
}

void explain_tcp(const Known& known, const core::TcpProxyConfig& config,
                 const core::ConnectionInfo& connection, Content content, Lines& lines) {
  lines.push_back(content == Content::kClientsTls
                      ? "the bytes pass as they are: they are the client's TLS, which nobody opens"
                      : "the bytes pass as they are, whatever the request is");
  for (const core::WeightedTarget& target : config.targets) {
    if (config.targets.size() > 1)
      lines.push_back(str("share: ", target.weight, " of ", config.total_weight));
    explain_cluster(known, target.cluster, connection, content, lines);
  }
}

}  // namespace pillion::cli
