#include "proxy/upstream/parse.h"

#include <cstdint>

#include "proxy/base/str.h"
#include "proxy/config/config_source.h"
#include "proxy/config/skipped_types.h"
#include "proxy/config/suggest.h"
#include "proxy/config/value_hash.h"
#include "proxy/upstream/parse_parts.h"

namespace pillion::upstream {
namespace {

using config::combine_hashes;
using config::EnumRow;
using config::hash_value;
using config::Node;

constexpr EnumRow kTypes[] = {
    {"STATIC", static_cast<int>(DiscoveryType::kStatic)},
    {"STRICT_DNS", static_cast<int>(DiscoveryType::kStrictDns)},
    {"LOGICAL_DNS", static_cast<int>(DiscoveryType::kLogicalDns)},
    {"EDS", static_cast<int>(DiscoveryType::kEds)},
    {"ORIGINAL_DST", static_cast<int>(DiscoveryType::kOriginalDst)},
};

constexpr std::string_view kCares =
    "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig";

constexpr EnumRow kFamilies[] = {
    {"AUTO", static_cast<int>(DnsFamily::kAuto)},
    {"V4_ONLY", static_cast<int>(DnsFamily::kV4Only)},
    {"V6_ONLY", static_cast<int>(DnsFamily::kV6Only)},
    {"V4_PREFERRED", static_cast<int>(DnsFamily::kV4Preferred)},
    {"ALL", static_cast<int>(DnsFamily::kAll)},
};

// A time between two lookups: Envoy wants more than a millisecond.
Duration parse_rate(const Node& node, Duration fallback) {
  const Duration rate = node.as_duration_or(fallback);
  if (node.is_present() && rate <= std::chrono::milliseconds(1)) node.expected("more than 1ms");
  return rate;
}

void parse_dns(const Node& node, DnsOptions& out) {
  out.family = node["dns_lookup_family"].as_enum_or(out.family, kFamilies);
  out.refresh_rate = parse_rate(node["dns_refresh_rate"], out.refresh_rate);
  out.failure_base = out.failure_max = out.refresh_rate;
  if (const Node failure = node["dns_failure_refresh_rate"]) {
    out.failure_base = parse_rate(failure.required("base_interval"), out.refresh_rate);
    // Envoy's default.
    out.failure_max = parse_rate(failure["max_interval"], 10 * out.failure_base);
    if (out.failure_max < out.failure_base) {
      failure["max_interval"].expected("at least base_interval");
    }
    failure.reject_unknown_keys();
  }
  out.respect_ttl = node["respect_dns_ttl"].as_bool_or(false);
  out.jitter = node["dns_jitter"].as_duration_or(Duration{});
}

// Names are asked of the node's resolver: what only tunes that is left out, but other servers may
// know other hosts by a name (split-horizon DNS).  Istio names none.
void parse_resolvers(const Node& node) {
  constexpr std::string_view kReason = "names are asked of the node's resolver";
  node.unsupported({"dns_resolvers"}, kReason, config::Unknown::kAlwaysError);
  if (const Node older = node["dns_resolution_config"]) {
    older.unsupported({"resolvers"}, kReason, config::Unknown::kAlwaysError);
    older.unsupported({"dns_resolver_options"}, kLater);
    older.reject_unknown_keys();
  }
  const Node extension = node["typed_dns_resolver_config"];
  if (extension.is_missing()) return;
  extension.ignore({"name"});
  const auto [type, resolver] = extension["typed_config"].typed_config();
  extension.reject_unknown_keys();
  if (type == kCares) {
    if (!resolver["use_resolvers_as_fallback"].as_bool_or(false))
      resolver.unsupported({"resolvers"}, kReason, config::Unknown::kAlwaysError);
    resolver.unsupported({"dns_resolver_options"}, kLater);
    resolver.ignore({"resolvers", "filter_unroutable_families", "udp_max_queries",
                     "query_timeout_seconds", "query_tries", "rotate_nameservers",
                     "edns0_max_payload_size", "max_udp_channel_duration",
                     "reinit_channel_on_timeout", "qcache_max_ttl"});
    resolver.reject_unknown_keys();
  } else if (!type.empty() && !config::is_system_resolver_type(type)) {
    extension["typed_config"].error(
        str("DNS resolver \"", config::printable(type), "\": ", kReason));
  }
}

void parse_original_dst(const Node& node, ClusterConfig& out) {
  out.cleanup_interval = node["cleanup_interval"].as_duration_or(out.cleanup_interval);
  if (node.has("cleanup_interval") && out.cleanup_interval <= Duration{}) {
    node["cleanup_interval"].expected("more than 0s");
  }
  const Node options = node["original_dst_lb_config"];
  if (options.is_missing()) return;
  if (out.type != DiscoveryType::kOriginalDst) {
    options.error("only clusters of type ORIGINAL_DST have it");
  }
  // Whoever may set the header would choose any destination behind the sidecar.
  refuse_true(options, "use_http_header");
  options.unsupported({"http_header_name", "metadata_key"}, kLater);
  const uint32_t port = options["upstream_port_override"].as_u32_or(0, 0, UINT16_MAX);
  out.original_dst_port = static_cast<uint16_t>(port);
  options.reject_unknown_keys();
}

void parse_eds(const Node& node, ClusterConfig& out) {
  const Node eds = node["eds_cluster_config"];
  if (out.type != DiscoveryType::kEds) {
    if (eds) eds.error("only clusters of type EDS have it");
    eds.ignore({"eds_config", "service_name"});
    return eds.reject_unknown_keys();
  }
  const Node source = node.required("eds_cluster_config");
  if (source.is_missing()) return;
  out.eds_name = source["service_name"].as_string_or("");
  if (out.eds_name.empty()) out.eds_name = out.name;
  config::check_resource_name(source["service_name"], out.eds_name);
  config::ConfigSource from = config::parse_config_source(source.required("eds_config"));
  out.eds_timeout = from.initial_fetch_timeout;
  out.eds_source = config::shared_source(std::move(from));
  source.reject_unknown_keys();
}

// Load is told to one server, that of cluster_manager.load_stats_config, which `self` means too.
void parse_lrs_server(const Node& node) {
  if (node.is_missing()) return;
  (void)node.one_of({"self", "ads", "api_config_source", "path_config_source"});
  node.unsupported({"api_config_source", "path_config_source", "ads"},
                   "use self, and cluster_manager.load_stats_config of the bootstrap");
  node["self"].ignore({"transport_api_version"});
  node.ignore({"resource_api_version", "initial_fetch_timeout"});
  node.unsupported({"path", "authorities"}, kLater);
  node.reject_unknown_keys();
}

void refuse_the_rest(const Node& node) {
  parse_lrs_server(node["lrs_server"]);
  parse_resolvers(node);
  // Effects that need what is refused elsewhere, or that only tune a choice which is made otherwise
  // here: hosts that discovery drops drain in any case, and control waits for every new cluster.
  node.ignore({"ignore_health_on_host_removal", "drain_connections_on_host_removal",
               "wait_for_warm_on_init", "lrs_report_endpoint_metrics"});
  refuse_true(node, "close_connections_on_host_health_failure");
  node.unsupported(
      {"ring_hash_lb_config", "maglev_lb_config", "metadata", "track_timeout_budgets",
       "track_cluster_stats", "upstream_config", "preconnect_policy", "use_tcp_for_dns_lookups",
       "stats_matcher", "queuing_policies", "per_connection_buffer_high_watermark_timeout"},
      kLater);
  // Without these a request would go to other hosts than meant, in clear text, or past a filter.
  node.unsupported({"cluster_type", "connection_pool_per_downstream_connection", "lb_subset_config",
                    "transport_socket_matcher"},
                   kLater, config::Unknown::kAlwaysError);
  node.unsupported({"hosts"}, "use load_assignment");
  node.unsupported({"tls_context"}, "use transport_socket", config::Unknown::kAlwaysError);
  node.unsupported({"protocol_selection"}, "use typed_extension_protocol_options");
  // A misspelt transport_socket must not end in clear text.
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
}

// What an HTTP/2 connection has told its peer at its start, or learns from which pool it belongs
// to.
uint64_t hash_of_protocol(const PoolOptions& pool) {
  uint64_t hash = static_cast<uint64_t>(pool.protocol);
  const http::H2Options& h2 = pool.h2;
  for (const uint64_t value :
       {uint64_t{h2.hpack_table_size}, uint64_t{h2.stream_window}, uint64_t{h2.connection_window},
        uint64_t{h2.max_outbound_control_frames}, uint64_t{h2.max_empty_frames},
        uint64_t{h2.max_priority_frames_per_stream},
        uint64_t{h2.max_window_updates_per_data_frame}}) {
    hash = combine_hashes(hash, value);
  }
  return hash;
}

void set_hashes(const Node& node, ClusterConfig& out) {
  // Equal slots are one object, and stay it when their certificates change.
  uint64_t context = reinterpret_cast<uintptr_t>(out.pool->tls.get());
  for (const TransportMatch& match : out.pool->transport_matches)
    context = combine_hashes(context, reinterpret_cast<uintptr_t>(match.tls.get()));
  out.hash = combine_hashes(hash_value(node), context);
  uint64_t hash = combine_hashes(static_cast<uint64_t>(out.type), context);
  hash = combine_hashes(hash, std::hash<std::string_view>{}(out.stat_name));
  hash = combine_hashes(hash, hash_value(node["transport_socket"]));
  hash = combine_hashes(hash, hash_value(node["transport_socket_matches"]));
  hash = combine_hashes(hash, hash_value(node["upstream_bind_config"]));
  hash = combine_hashes(hash, hash_value(node["upstream_connection_options"]));
  hash = combine_hashes(hash, hash_of_protocol(*out.pool));
  out.connection_hash = combine_hashes(hash, out.original_dst_port);
}

// auto_config asks the TLS handshake.  As Envoy, of every socket that a host may have.
void check_protocol(const Node& node, const ClusterConfig& out) {
  if (out.pool->protocol != UpstreamProtocol::kAuto) return;
  if (!node.has("transport_socket"))
    node["typed_extension_protocol_options"].error(
        "auto_config needs a transport_socket with TLS: the protocol is chosen by ALPN");
  size_t at = 0;
  for (const Node item : node["transport_socket_matches"].items()) {
    if (out.pool->transport_matches[at++].tls == nullptr)
      item["transport_socket"].error(
          "auto_config needs TLS in each of them: the protocol is chosen by ALPN");
  }
}

}  // namespace

// Of what tells most clusters apart.
size_t value_hash(const PoolOptions& options) noexcept {
  size_t hash = reinterpret_cast<uintptr_t>(options.tls.get());
  for (const uint64_t value :
       {static_cast<uint64_t>(options.protocol),
        static_cast<uint64_t>(options.connect_timeout.count()),
        static_cast<uint64_t>(options.idle_timeout.count()),
        uint64_t{options.max_requests_per_connection}, uint64_t{options.limits.max_connections},
        uint64_t{options.limits.max_pending}, uint64_t{options.limits.max_requests},
        uint64_t{options.limits.max_retries}, uint64_t{options.source.hash()},
        static_cast<uint64_t>(options.max_connection_duration.count()),
        uint64_t{options.head_limits.buffer_limit}, uint64_t{options.head_limits.max_bytes},
        uint64_t{options.head_limits.max_fields}, uint64_t{options.h2.max_concurrent_streams},
        uint64_t{options.h2.stream_window}, uint64_t{options.h2.connection_window},
        uint64_t{options.socket.mark}, uint64_t{options.socket.keepalive_time_s}})
    mix_hash(hash, value);
  // Their TLS contexts differ where names or SANs do.
  for (const TransportMatch& match : options.transport_matches)
    mix_hash(hash, reinterpret_cast<uintptr_t>(match.tls.get()));
  return hash;
}

size_t value_hash(const DnsOptions& options) noexcept {
  size_t hash = static_cast<size_t>(options.family);
  for (const Duration time : {options.refresh_rate, options.failure_base, options.failure_max,
                              options.min_ttl, options.jitter})
    mix_hash(hash, static_cast<size_t>(time.count()));
  return hash;
}

void refuse_true(const Node& node, std::string_view key) {
  const Node flag = node[key];
  if (flag.as_bool_or(false)) {
    flag.error(str("known to Envoy v3 but not supported by Pillion yet (", kLater, ")"));
  }
}

std::shared_ptr<const ClusterConfig> parse_cluster(const Node& node) {
  auto out = std::make_shared<ClusterConfig>();
  out->name = node["name"].as_string();
  out->stat_name = node["alt_stat_name"].as_string_or("");
  if (out->stat_name.empty()) out->stat_name = out->name;
  out->type = node["type"].as_enum_or(out->type, kTypes);
  const Node timeout = node["connect_timeout"];
  out->pool->connect_timeout = timeout.as_duration_or(out->pool->connect_timeout);
  if (timeout.is_present() && out->pool->connect_timeout <= Duration{})
    timeout.expected("more than 0s");
  out->buffer_limit = node["per_connection_buffer_limit_bytes"].as_u32_or(out->buffer_limit);
  if (out->buffer_limit == 0) out->buffer_limit = UINT32_MAX;  // Envoy: no limit
  parse_balancing(node, *out);
  parse_circuit_breakers(node["circuit_breakers"], *out);
  apply_runtime(node, *out);
  parse_endpoints(node, *out);
  parse_dns(node, *out->dns);
  parse_original_dst(node, *out);
  parse_eds(node, *out);
  parse_http_options(node, *out);
  out->pool->head_limits.buffer_limit = out->pool->h2.buffer_limit = out->buffer_limit;
  parse_transport(node, *out);
  check_protocol(node, *out);
  parse_outlier(node, *out);
  parse_health_check(node, *out);
  if (out->outlier || out->health_check) out->health = std::make_shared<SharedHealth>();
  set_hashes(node, *out);
  refuse_the_rest(node);
  out->pool.share();
  out->dns.share();
  return out;
}

}  // namespace pillion::upstream
