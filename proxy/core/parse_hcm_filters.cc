// http_filters of an HttpConnectionManager: so far the router alone, which ends the list.
#include "proxy/core/parse_parts.h"

namespace pillion::core {
namespace {

using config::Node;

constexpr std::string_view kRouter = "envoy.extensions.filters.http.router.v3.Router";

void parse_router(HcmConfig& out, const Node& node) {
  out.suppress_envoy_headers = node["suppress_envoy_headers"].as_bool_or(false);
  out.respect_expected_rq_timeout = node["respect_expected_rq_timeout"].as_bool_or(false);
  // The counters of clusters are always kept; the other tunes gRPC counters, which there are none
  // of.
  node.ignore({"dynamic_stats", "suppress_grpc_request_failure_code_stats"});
  refuse_true(node, {"start_child_span"}, "use tracing.spawn_upstream_span");
  refuse_true(node, {"reject_connect_request_early_data"});
  node.unsupported({"strict_check_headers", "upstream_http_filters"}, kLater,
                   config::Unknown::kAlwaysError);
  node.unsupported({"upstream_log", "upstream_log_options"}, kLater);
  node.reject_unknown_keys();
}

}  // namespace

void parse_http_filters(HcmConfig& out, const Node& list) {
  bool has_router = false;
  for (const Node item : list.items()) {
    if (has_router) item.error("comes after the router, which must be the last filter");
    const auto [type, node] = parse_extension(item, ExtensionPoint::kHttpFilter, {kRouter});
    if (type == kRouter) {
      parse_router(out, node);
      has_router = true;
      if (item["disabled"].as_bool_or(false))
        item["disabled"].error("the router cannot be disabled");
    }
    // A filter that we lack was refused, optional or not: it may guard something.
    item.ignore({"disabled", "is_optional"});
    item.reject_unknown_keys();
  }
  if (!has_router && (list.is_missing() || list.is_sequence())) {
    list.error("expected the router (envoy.filters.http.router) as the last filter");
  }
}

}  // namespace pillion::core
