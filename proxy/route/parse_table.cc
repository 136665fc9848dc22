#include <algorithm>
#include <utility>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/config/value_hash.h"
#include "proxy/route/parse.h"
#include "proxy/route/parse_parts.h"

namespace pillion::route {
namespace {

using config::EnumRow;
using config::Node;

constexpr EnumRow kRequireTls[] = {{"NONE", 0}, {"EXTERNAL_ONLY", 1}, {"ALL", 2}};
constexpr std::string_view kLater = "comes with a later version";

void add_domain(RouteTable::Parts& parts, VirtualHost& host, const Node& node) {
  const std::string domain = lowered(node.as_string_or(""));
  if (const std::string_view wrong = check_domain(domain); !wrong.empty()) {
    return node.expected(wrong);
  }
  if (parts.domains.add(domain, static_cast<uint32_t>(parts.hosts.size()))) {
    host.domains.push_back(domain);
    return;
  }
  std::string_view owner = host.name;
  for (const VirtualHost& other : parts.hosts) {
    if (std::ranges::find(other.domains, domain) != other.domains.end()) owner = other.name;
  }
  node.error(str("domain \"", domain, "\" is already one of virtual host \"", owner, '"'));
}

void add_host(RouteTable::Parts& parts, const Node& node, ParseContext context) {
  VirtualHost host;
  host.name = node["name"].as_string();
  const Node domains = node.required("domains");
  for (const Node domain : domains.items()) add_domain(parts, host, domain);
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
  host.routes.reserve(routes.size());
  for (const Node route : routes.items()) host.routes.push_back(parse_route(route, context));
  node.ignore({"metadata"});  // only labels
  node.unsupported({"matcher", "cors", "route_specifiers"}, kLater, config::Unknown::kAlwaysError);
  node.unsupported({"virtual_clusters", "rate_limits", "retry_policy_typed_config", "hedge_policy",
                    "request_mirror_policies"},
                   kLater);
  node.reject_unknown_keys();
  parts.hosts.push_back(std::move(host));
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
  context.max_direct_response_bytes = node["max_direct_response_body_size_bytes"].as_u32_or(4096);
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
  node.unsupported({"vhds", "request_mirror_policies", "cluster_specifier_plugins"}, kLater);
  node.reject_unknown_keys();
  parts.hash = config::hash_value(node);
  return std::make_shared<const RouteTable>(std::move(parts));
}

}  // namespace pillion::route
