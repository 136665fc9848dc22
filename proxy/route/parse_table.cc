#include <algorithm>
#include <utility>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/config/config_source.h"
#include "proxy/config/suggest.h"
#include "proxy/config/value_hash.h"
#include "proxy/route/parse.h"
#include "proxy/route/parse_parts.h"

namespace pillion::route {
namespace {

using config::EnumRow;
using config::Node;

constexpr EnumRow kRequireTls[] = {{"NONE", 0}, {"EXTERNAL_ONLY", 1}, {"ALL", 2}};
constexpr std::string_view kLater = "comes with a later version";

bool has_domain(const VirtualHost& host, std::string_view domain) {
  return std::ranges::find(host.domains, domain) != host.domains.end();
}

void refuse_domain(const Node& node, std::string_view domain, const VirtualHost& owner) {
  node.error(str("domain \"", domain, "\" is already one of virtual host \"",
                 config::printable(owner.name), '"'));
}

void add_domain(VirtualHost& host, const Node& node) {
  const std::string domain = lowered(node.as_string_or(""));
  if (const std::string_view wrong = check_domain(domain); !wrong.empty()) {
    node.expected(wrong);
  } else if (has_domain(host, domain)) {
    refuse_domain(node, domain, host);
  } else {
    host.domains.push_back(domain);
  }
}

std::shared_ptr<VirtualHost> parse_host(const Node& node, ParseContext context) {
  auto made = std::make_shared<VirtualHost>();
  VirtualHost& host = *made;
  host.name = node["name"].as_string();
  const Node domains = node.required("domains");
  for (const Node domain : domains.items()) add_domain(host, domain);
  if (domains.is_sequence() && domains.size() == 0) domains.error("expected at least one domain");
  context.host_retry = parse_retry_policy(node["retry_policy"]);
  context.body_limit = parse_body_limit(node, context.body_limit);
  host.count_attempts_in_request = node["include_request_attempt_count"].as_bool_or(false);
  host.count_attempts_in_response = node["include_attempt_count_in_response"].as_bool_or(false);
  host.marks_timeout_retries = node["include_is_timeout_retry_header"].as_bool_or(false);
  host.require_tls = node["require_tls"].as_enum_or(VirtualHost::RequireTls::kNone, kRequireTls);
  host.mutations = parse_level_mutations(node, context.options.formats);
  host.filters = parse_overrides(node, context.options);
  const Node routes = node["routes"];
  auto list = std::make_shared<RouteList>();
  list->routes.reserve(routes.size());
  for (const Node route : routes.items()) list->routes.push_back(parse_route(route, context));
  node.ignore({"metadata"});  // only labels
  node.unsupported({"matcher", "cors", "route_specifiers"}, kLater, config::Unknown::kAlwaysError);
  node.unsupported({"virtual_clusters", "rate_limits", "retry_policy_typed_config", "hedge_policy",
                    "request_mirror_policies"},
                   kLater);
  node.reject_unknown_keys();
  list->index = RouteIndex::build(list->routes);
  host.routes = list->routes;
  host.list = std::move(list);
  host.hash = config::hash_value(node);
  return made;
}

// The first host that has a domain keeps it.
void add_host(RouteTable::Parts& parts, const Node& node, const ParseContext& context) {
  const std::shared_ptr<const VirtualHost> host = parse_host(node, context);
  for (const Node domain : node["domains"].items()) {
    const std::string text = lowered(domain.raw());
    if (!has_domain(*host, text)) continue;  // refused already
    const auto number = static_cast<uint32_t>(parts.hosts.size());
    if (parts.domains.add(text, number) || *parts.domains.find_domain(text) == number) continue;
    refuse_domain(domain, text, parts.hosts[*parts.domains.find_domain(text)]);
  }
  parts.hosts.push_back(*host);
}

// A host cannot come for a table that is not known to the control plane by its name.
// Hosts are asked for one by one, which takes a delta; whether ads_config is one is known
// elsewhere.
void parse_vhds(RouteTable::Parts& out, const Node& node, const ParseOptions& options) {
  if (node.is_missing()) return;
  if (!options.allows_vhds) node.error("only routes by RDS may have it");
  const Node where = node.required("config_source");
  config::ConfigSource source = config::parse_config_source(where, config::Unknown::kAlwaysError);
  node.reject_unknown_keys();
  const auto* api = std::get_if<config::ConfigSource::Api>(&source.how);
  if (api != nullptr && !api->service.is_delta)
    where["api_config_source"]["api_type"].expected("DELTA_GRPC", "VHDS is a delta");
  if (std::holds_alternative<config::ConfigSource::Path>(source.how))
    where.error("VHDS is a delta, which a file is not: use ads or api_config_source");
  out.vhds_timeout = source.initial_fetch_timeout;
  out.vhds_source = config::shared_source(std::move(source));
}

}  // namespace

std::unique_ptr<const FilterOverrides> parse_overrides(const Node& level,
                                                       const ParseOptions& options) {
  if (options.filters != nullptr) return options.filters->parse(level["typed_per_filter_config"]);
  level.unsupported({"typed_per_filter_config"}, kLater, config::Unknown::kAlwaysError);
  return nullptr;
}

std::string target_text(const Node& node) {
  std::string text = node.as_string_or("");
  const auto is_bad = [](char c) {
    return (static_cast<unsigned char>(c) <= ' ') || c == 0x7f || c == '#';
  };
  if (std::ranges::any_of(text, is_bad)) {
    node.expected("a text without spaces, control characters and '#'");
  }
  return text;
}

std::shared_ptr<const RouteTable> parse_route_table(const Node& node, const ParseOptions& options) {
  RouteTable::Parts parts;
  ParseContext context{options};
  parts.name = node["name"].as_string_or("");
  context.validate_clusters = node["validate_clusters"].as_bool_or(true);
  context.max_direct_response_bytes = parts.max_direct_response_bytes =
      node["max_direct_response_body_size_bytes"].as_u32_or(4096);
  parts.ignore_port_in_host = node["ignore_port_in_host_matching"].as_bool_or(false);
  parts.ignore_path_parameters = node["ignore_path_parameters_in_path_matching"].as_bool_or(false);
  parts.most_specific_wins = node["most_specific_header_mutations_wins"].as_bool_or(false);
  parts.mutations = parse_level_mutations(node, options.formats);
  parts.filters = parse_overrides(node, options);
  const Node hosts = node["virtual_hosts"];
  parts.hosts.reserve(hosts.size());
  for (const Node host : hosts.items()) add_host(parts, host, context);
  node.ignore({"metadata"});  // only labels
  node.unsupported({"internal_only_headers", "route_specifiers", "vhost_header"}, kLater,
                   config::Unknown::kAlwaysError);
  parse_vhds(parts, node["vhds"], options);
  node.unsupported({"request_mirror_policies", "cluster_specifier_plugins"}, kLater);
  node.reject_unknown_keys();
  parts.hash = config::hash_value(node);
  return std::make_shared<const RouteTable>(std::move(parts));
}

std::shared_ptr<const VirtualHost> parse_virtual_host(const Node& node, const ParseOptions& options,
                                                      uint32_t max_direct_response_bytes) {
  ParseContext context{options};
  context.max_direct_response_bytes = max_direct_response_bytes;
  auto host = parse_host(node, context);
  host->use = std::make_shared<const UseMark>();
  return host;
}

}  // namespace pillion::route
