// Listener filters: what looks at a connection before its filter chain is chosen.
#include <algorithm>
#include <utility>

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
constexpr std::string_view kTypes[] = {kOriginalDst, kTlsInspector, kHttpInspector};

void parse_tls_inspector(const Node& node) {
  // Only sizes a buffer: we read from the loop's scratch memory.
  (void)node["initial_read_buffer_size"].as_u32_or(256, 256, 64 * 1024);
  (void)node["max_client_hello_size"].as_u32_or(16 * 1024, 256,
                                                16 * 1024);  // ours is Envoy's default
  refuse_true(node, {"enable_ja3_fingerprinting", "enable_ja4_fingerprinting"});
  // What is no ClientHello goes on to the chains of plain text, and would here, too.
  constexpr std::string_view kClose = "close_connection_on_client_hello_parsing_errors";
  if (node[kClose].as_bool_or(false))
    node.unsupported({kClose}, kLater, config::Unknown::kAlwaysError);
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

// Of two inspectors the second looks where the first does not.
void add_inspector(bool& is_there, PortSet& off, const PortSet& more_off) {
  if (std::exchange(is_there, true)) {
    PortSet looks = off.complement();
    looks.add(more_off.complement());
    off = looks.complement();
  } else {
    off = more_off;
  }
}

void add(ListenerFilters& out, std::string_view type, const PortSet& off) {
  out.original_dst_filter |= type == kOriginalDst;
  if (type == kTlsInspector) add_inspector(out.tls_inspector, out.tls_inspector_off, off);
  if (type == kHttpInspector) add_inspector(out.http_inspector, out.http_inspector_off, off);
}

// filter_disabled; closes `item`.
PortSet parse_off(const Node& item, bool is_inspector) {
  PortSet off;
  if (is_inspector && item.has("filter_disabled")) off = parse_ports(item["filter_disabled"], 0);
  if (!is_inspector) item.unsupported({"filter_disabled"}, kLater, config::Unknown::kAlwaysError);
  item.reject_unknown_keys();
  return off;
}

}  // namespace

std::span<const std::string_view> listener_filter_types() { return kTypes; }

void parse_listener_filter(std::string_view type, const Node& message) {
  if (type == kTlsInspector) parse_tls_inspector(message);
  message.reject_unknown_keys();
}

void use_discovered_filters(ListenerConfig& listener) {
  static_cast<ListenerFilters&>(listener) = listener.own_filters;
  for (const DiscoveredListenerFilter& filter : listener.discovered_filters) {
    listener.lacks_config |= filter.now.type.empty();
    add(listener, filter.now.type, filter.off);
  }
}

void parse_listener_filters(ListenerConfig& out, const Node& list, ExtensionSource& extensions) {
  for (const Node item : list.items()) {
    if (item.has("config_discovery")) {
      auto discovery = parse_listener_discovery(item);
      const bool is_inspector = !discovery->allows(kOriginalDst);
      PortSet off = parse_off(item, is_inspector);
      const ListenerExtension now = discovery->find(extensions);
      out.discovered_filters.push_back({std::move(discovery), std::move(off), now});
      continue;
    }
    const auto [type, node] = parse_extension(item, ExtensionPoint::kListenerFilter, kTypes);
    const PortSet off = parse_off(item, type == kTlsInspector || type == kHttpInspector);
    if (type.empty()) continue;
    parse_listener_filter(type, node);
    add(out, type, off);
  }
}

}  // namespace pillion::core
