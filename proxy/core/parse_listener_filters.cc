// Listener filters: what looks at a connection before its filter chain is chosen.
#include "proxy/core/parse_parts.h"

namespace pillion::core {
namespace {

using config::Node;

constexpr std::string_view kOriginalDst =
    "envoy.extensions.filters.listener.original_dst.v3.OriginalDst";
constexpr std::string_view kTlsInspector =
    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
constexpr std::string_view kHttpInspector =
    "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector";

void parse_tls_inspector(const Node& node) {
  // Only sizes a buffer: we read from the loop's scratch memory.
  (void)node["initial_read_buffer_size"].as_u32_or(256, 256, 64 * 1024);
  (void)node["max_client_hello_size"].as_u32_or(16 * 1024, 256,
                                                16 * 1024);  // ours is Envoy's default
  refuse_true(node, {"enable_ja3_fingerprinting", "enable_ja4_fingerprinting",
                     "close_connection_on_client_hello_parsing_errors"});
}

constexpr int kMaxDepth = 16;

PortSet parse_ports(const Node& node, int depth);

// Of a MatchSet the ports that any of its rules names, or all of them do.
PortSet parse_rules(const Node& node, bool all, int depth) {
  const Node rules = node["rules"];
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  if (rules.size() < 2) rules.expected("two rules or more");
  PortSet set;
  for (const Node rule : rules.items()) {
    const PortSet one = parse_ports(rule, depth + 1);
    set.add(all ? one.complement() : one);
  }
  return all ? set.complement() : set;
}

// ListenerFilterChainMatchPredicate: the ports for which it holds.
PortSet parse_ports(const Node& node, int depth) {
  if (depth > kMaxDepth) {
    node.error("is nested too deeply");
    return {};
  }
  const Node how =
      node.one_of({"or_match", "and_match", "not_match", "any_match", "destination_port_range"});
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  const std::string_view key = how.is_present() ? how.key() : std::string_view{};
  if (key.starts_with("or")) return parse_rules(how, false, depth);
  if (key.starts_with("and")) return parse_rules(how, true, depth);
  if (key.starts_with("not")) return parse_ports(how, depth + 1).complement();
  if (key.starts_with("any")) return how.as_bool() ? PortSet::all() : PortSet();
  if (how.is_missing()) return {};
  // A range of nothing would be a filter that looks at what it was meant to leave alone.
  const size_t errors_before = how.errors()->error_count();
  const uint32_t begin = how["start"].as_u32_or(0, 0, 65535);
  const uint32_t end = how["end"].as_u32(1, 65536);
  const bool are_ports = how.errors()->error_count() == errors_before;
  if (are_ports && begin >= end)
    how["end"].expected("a port beyond start (end is not in the range)");
  how.reject_unknown_keys(config::Unknown::kAlwaysError);
  return PortSet::range(begin, end);
}

}  // namespace

void parse_listener_filters(ListenerConfig& out, const Node& list) {
  for (const Node item : list.items()) {
    const auto [type, node] = parse_extension(item, ExtensionPoint::kListenerFilter,
                                              {kOriginalDst, kTlsInspector, kHttpInspector});
    const bool is_inspector = type == kTlsInspector || type == kHttpInspector;
    PortSet off;
    if (is_inspector && item.has("filter_disabled")) off = parse_ports(item["filter_disabled"], 0);
    if (!is_inspector) item.unsupported({"filter_disabled"}, kLater, config::Unknown::kAlwaysError);
    item.reject_unknown_keys();
    if (type.empty()) continue;
    if (type == kTlsInspector) out.tls_inspector_off = off;
    if (type == kHttpInspector) out.http_inspector_off = off;
    if (type == kTlsInspector) parse_tls_inspector(node);
    node.reject_unknown_keys();
    out.original_dst_filter |= type == kOriginalDst;
    out.tls_inspector |= type == kTlsInspector;
    out.http_inspector |= type == kHttpInspector;
  }
}

}  // namespace pillion::core
