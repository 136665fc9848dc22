#include <utility>

#include "proxy/base/rng.h"
#include "proxy/base/str.h"
#include "proxy/cli/explain_parts.h"
#include "proxy/core/http_filter_chain.h"
#include "proxy/core/missing_route.h"
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
  const core::RouteWish missing = match ? core::RouteWish{} : core::missing_route(config, head);
  const core::FilterLevels levels = core::filter_levels(match);
  for (const core::HttpFilterChain::Entry& entry : config.filters->entries()) {
    const core::FilterUse use = core::use_of(entry, levels);
    if (use.is_disabled) continue;
    const core::FilterExplanation said =
        entry.factory->explain({head, connection, match, use.config, missing});
    if (!said.text.empty()) lines.push_back(str("filter ", entry.name, ": ", said.text));
    if (said.refuses) return false;
  }
  return true;
}

// The table of one connection manager, under its name at the control plane.
void explain_table(const Known& known, const std::string& rds_name, const route::RouteTable* table,
                   Lines& lines) {
  if (table != nullptr && !table->name().empty()) lines.push_back(str("routes: ", table->name()));
  if (table == nullptr && known.facts == nullptr)
    lines.push_back(str("routes: \"", rds_name, "\" comes from a control plane"));
  if (known.facts == nullptr || rds_name.empty()) return;
  if (table == nullptr)
    lines.push_back(str("routes: \"", rds_name, "\" have not come; the answer is 404"));
  known.facts->routes(rds_name, lines);
}

// Null: no table, so no route.
const route::RouteTable* find_table(const Known& known, const core::HcmConfig& config,
                                    const http::RequestHead& head, Lines& lines) {
  if (config.scoped == nullptr) {
    const route::RouteTable* table = config.lacks_routes ? nullptr : config.routes.get();
    explain_table(known, config.rds_name, table, lines);
    return table;
  }
  lines.push_back(str("scope key: ", config.scoped->keys.explain(head)));
  const route::ScopeTable::Scope* scope = config.scope_of(head);
  if (scope == nullptr) {
    const bool is_known = known.facts != nullptr || !config.scoped->srds_timeout;
    lines.push_back(is_known ? "scope: none has this key; the answer is 404"
                             : "scope: they come from a control plane");
    return nullptr;
  }
  lines.push_back(str("scope: ", scope->config->name));
  if (known.facts != nullptr && config.scoped->srds_timeout)
    known.facts->scope(scope->config->name, lines);
  explain_table(known, scope->config->rds_name, scope->table.get(), lines);
  return scope->table.get();
}

}  // namespace

void explain_http(const Known& known, const core::HcmConfig& config,
                  const core::ConnectionInfo& connection, http::RequestHead& head, Lines& lines) {
  Rng rng(kRandom);
  core::prepare_request(head, config, connection, rng);
  if (!explain_path(config, head, lines)) return;
  const bool is_https = head.scheme == "https";
  route::RouteMatch match;
  if (const route::RouteTable* table = find_table(known, config, head, lines)) {
    for (std::string& line : table->explain(head, kRandom, is_https))
      lines.push_back(std::move(line));
    match = table->match(head, kRandom, is_https);
  }
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
