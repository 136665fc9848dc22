// HttpConnectionManager: how it is named, where it gets its routes from, times, responses and logs.
#include <algorithm>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/config/config_source.h"
#include "proxy/config/value_hash.h"
#include "proxy/core/listener_routes.h"
#include "proxy/core/parse_parts.h"
#include "proxy/route/parse.h"

namespace pillion::core {
namespace {

using config::EnumRow;
using config::Node;
using config::Unknown;

constexpr EnumRow kCodecs[] = {
    {"AUTO", 0}, {"HTTP1", 1}, {"HTTP2", 2}, {"HTTP3", 3, "HTTP/3 comes with a later version"}};
constexpr EnumRow kServerHeaders[] = {
    {"OVERWRITE", 0}, {"APPEND_IF_ABSENT", 1}, {"PASS_THROUGH", 2}};

std::shared_ptr<const route::RouteTable> parse_rds(HcmConfig& out, const Node& node,
                                                   const ParseContext& context) {
  out.rds_name = node["route_config_name"].as_string();
  config::check_resource_name(node["route_config_name"], out.rds_name);
  config::ConfigSource from = config::parse_config_source(node.required("config_source"));
  out.rds_timeout = from.initial_fetch_timeout;
  out.rds_source = config::shared_source(std::move(from));
  node.reject_unknown_keys();
  std::shared_ptr<const route::RouteTable> table = context.services.routes(out.rds_name);
  out.lacks_routes = table == nullptr;
  return table;
}

// Behind scoped_routes is an empty table, which nobody uses.
std::shared_ptr<const route::RouteTable> parse_routes(HcmConfig& out, const Node& node,
                                                      const ParseContext& context,
                                                      const FilterListParser& filters) {
  (void)node.one_of({"route_config", "rds", "scoped_routes"});
  std::shared_ptr<const route::RouteTable> table;
  if (node.has("rds")) table = parse_rds(out, node["rds"], context);
  if (node.has("scoped_routes")) parse_scoped_routes(out, node["scoped_routes"], context, filters);
  if (table != nullptr) return table;
  return route::parse_route_table(
      node["route_config"],
      {&context.services.header_formats(), &context.clusters, context.all_clusters, &filters});
}

void parse_times(HcmConfig& out, const Node& node) {
  out.stream_idle_timeout = node["stream_idle_timeout"].as_duration_or(out.stream_idle_timeout);
  out.head_limits.flush_time = node["stream_flush_timeout"].as_duration_or(out.stream_idle_timeout);
  out.request_timeout = node["request_timeout"].as_duration_or(out.request_timeout);
  out.request_headers_timeout =
      node["request_headers_timeout"].as_duration_or(out.request_headers_timeout);
  out.drain_timeout = node["drain_timeout"].as_duration_or(out.drain_timeout);
  out.head_limits.linger_time =
      node["delayed_close_timeout"].as_duration_or(out.head_limits.linger_time);
  out.drain_timeout_jitter = node["drain_timeout_jitter"].as_percent_or(0);
}

void parse_upgrades(HcmConfig& out, const Node& list) {
  for (const Node item : list.items()) {
    UpgradeConfig upgrade;
    const Node type = item.required("upgrade_type");
    upgrade.type = lowered(type.as_string_or(""));
    upgrade.enabled = item["enabled"].as_bool_or(true);
    item.unsupported({"filters"}, kLater, Unknown::kAlwaysError);
    item.reject_unknown_keys();
    if (std::ranges::find(out.upgrades, upgrade.type, &UpgradeConfig::type) != out.upgrades.end()) {
      type.error(str('"', upgrade.type, "\" is in the list already"));
    }
    out.upgrades.push_back(std::move(upgrade));
  }
}

void parse_responses(HcmConfig& out, const Node& node, const ParseContext& context) {
  out.server_header =
      node["server_header_transformation"].as_enum_or(out.server_header, kServerHeaders);
  out.server_name = header_text(node["server_name"], out.server_name);
  out.via = header_text(node["via"], "");
  out.proxy_100_continue = node["proxy_100_continue"].as_bool_or(false);
  out.local_replies = context.services.local_replies(node["local_reply_config"]);
  refuse_true(node, {"append_local_overload"});
  node.unsupported({"proxy_status_config", "record_route_resolution_stats"}, kLater);
}

void parse_logs(HcmConfig& out, const Node& node, const ParseContext& context) {
  out.access_logs = context.services.access_logs(node["access_log"]);
  const Node options = node["access_log_options"];
  options.unsupported({"access_log_flush_interval"}, kLater);
  refuse_true(options,
              {"flush_access_log_on_new_request", "flush_log_on_tunnel_successfully_established"});
  options.reject_unknown_keys();
  node.unsupported({"access_log_flush_interval"}, kLater);
  refuse_true(node, {"flush_access_log_on_new_request"});
}

}  // namespace

std::shared_ptr<const HcmConfig> parse_hcm(const Node& node, const ParseContext& context) {
  auto out = std::make_shared<HcmConfig>();
  out->stat_prefix = node["stat_prefix"].as_string();
  out->codec = node["codec_type"].as_enum_or(CodecType::kAuto, kCodecs);
  parse_protocol_options(*out, node);
  out->head_limits.buffer_limit = out->h2.buffer_limit = context.buffer_limit;
  parse_times(*out, node);
  parse_request_headers(*out, node);
  out->path = match::parse_path_options(node);
  parse_responses(*out, node, context);
  parse_upgrades(*out, node["upgrade_configs"]);
  FilterListParser filters(context.services, &context.clusters);
  filters.parse_list(*out, node["http_filters"]);
  out->routes = parse_routes(*out, node, context, filters);
  parse_logs(*out, node, context);
  const Node transformations = node["path_normalization_options"];
  transformations.unsupported({"forwarding_transformation", "http_filter_transformation"}, kLater,
                              Unknown::kAlwaysError);
  transformations.reject_unknown_keys(Unknown::kAlwaysError);
  node.unsupported({"typed_header_validation_config"}, kLater, Unknown::kAlwaysError);
  out->tracer = context.services.tracer(node["tracing"], context.is_outbound, context.clusters);
  node.reject_unknown_keys();
  out->own_hash = config::combine_hashes(config::hash_value(node), context.buffer_limit);
  set_hash(*out);
  return out;
}

}  // namespace pillion::core
