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

}  // namespace

void parse_listener_filters(ListenerConfig& out, const Node& list) {
  for (const Node item : list.items()) {
    const auto [type, node] = parse_extension(item, ExtensionPoint::kListenerFilter,
                                              {kOriginalDst, kTlsInspector, kHttpInspector});
    item.unsupported({"filter_disabled"}, kLater, config::Unknown::kAlwaysError);
    item.reject_unknown_keys();
    if (type.empty()) continue;
    if (type == kTlsInspector) parse_tls_inspector(node);
    node.reject_unknown_keys();
    out.original_dst_filter |= type == kOriginalDst;
    out.tls_inspector |= type == kTlsInspector;
    out.http_inspector |= type == kHttpInspector;
  }
}

}  // namespace pillion::core
