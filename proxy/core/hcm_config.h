#pragma once
// What an HttpConnectionManager is configured to do, compiled: immutable, shared by all workers.
// Field names and defaults are Envoy's (http_connection_manager.v3; shared/reference/envoy.md 1.4).

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/core/access_logger.h"
#include "proxy/core/local_reply.h"
#include "proxy/core/tracer.h"
#include "proxy/http/h2_options.h"
#include "proxy/http/limits.h"
#include "proxy/match/canonical_path.h"
#include "proxy/route/route_table.h"
#include "proxy/route/scopes.h"

namespace pillion::config {
struct ConfigSource;
}

namespace pillion::core {

class HttpFilterChain;

enum class CodecType : uint8_t { kAuto, kHttp1, kHttp2 };
enum class ServerHeader : uint8_t { kOverwrite, kAppendIfAbsent, kPassThrough };
enum class ForwardClientCert : uint8_t {
  kSanitize,
  kForwardOnly,
  kAppendForward,
  kSanitizeSet,
  kAlwaysForwardOnly
};
enum class Underscores : uint8_t { kAllow, kReject, kDrop };

// set_current_client_cert_details: what our own XFCC element says besides By and Hash.
struct ClientCertDetails {
  bool cert = false;   // PEM
  bool chain = false;  // PEM of the certificate and those that came with it
  bool subject = false;
  bool dns = false;
  bool uri = false;
};

struct UpgradeConfig {
  std::string type;  // lower case: "websocket", "connect"
  bool enabled = true;
};

// scoped_routes: the headers of a request choose its table.
struct ScopedRoutes {
  std::string name;
  route::ScopeKeyBuilder keys;
  Duration rds_timeout{};                                  // initial_fetch_timeout, and the
  std::shared_ptr<const config::ConfigSource> rds_source;  // rest, of rds_config_source; null: ads
  // scoped_route_configurations_list; or scopes come by SRDS, and this is its timeout and source.
  std::vector<std::shared_ptr<const route::ScopeConfig>> list;
  std::optional<Duration> srds_timeout;
  std::shared_ptr<const config::ConfigSource> srds_source;  // null: ads
};

struct HcmConfig {
  std::string stat_prefix;
  CodecType codec = CodecType::kAuto;
  http::H1Limits head_limits;  // of both protocols
  http::H2Options h2;
  std::string default_host_http10;  // default_host_for_http_10: of HTTP/1.0 requests without Host
  Underscores underscores = Underscores::kAllow;

  // Timeouts; zero is off.
  Duration idle_timeout = std::chrono::hours(1);  // connection without a request
  Duration stream_idle_timeout = std::chrono::minutes(5);
  Duration request_timeout{};  // until the request is complete
  Duration request_headers_timeout{};
  Duration max_connection_duration{};
  Duration max_stream_duration{};
  Duration drain_timeout = std::chrono::seconds(5);  // from the announcement of an end to the end
  uint32_t max_requests_per_connection = 0;          // 0: any number
  // Of HTTP/2 and HTTP/1 connections, in percent of the time that they are added to.
  double connection_duration_jitter = 0;  // max_connection_duration_jitter
  double drain_timeout_jitter = 0;

  // Where a request comes from, and what it may claim.
  bool use_remote_address = false;
  uint32_t xff_num_trusted_hops = 0;
  bool skip_xff_append = false;
  bool append_x_forwarded_port = false;
  bool generate_request_id = true;
  bool preserve_external_request_id = false;
  bool always_set_request_id_in_response = false;
  bool request_id_carries_reason = true;  // pack_trace_reason of the UUID extension, and
  bool request_id_samples = true;         // use_request_id_for_trace_sampling
  ForwardClientCert forward_client_cert = ForwardClientCert::kSanitize;
  ClientCertDetails client_cert_details;
  std::string via;
  bool strip_any_host_port = false;
  bool strip_matching_host_port = false;
  bool strip_trailing_host_dot = false;

  match::PathOptions path;

  // What responses carry.
  ServerHeader server_header = ServerHeader::kOverwrite;
  std::string server_name = "envoy";
  bool proxy_100_continue = false;
  bool suppress_envoy_headers = false;       // of the router filter, as the next
  bool respect_expected_rq_timeout = false;  // route::TimeoutRules::respect_expected

  std::vector<UpgradeConfig> upgrades;
  std::shared_ptr<const HttpFilterChain> filters;  // null: the router alone
  std::shared_ptr<const route::RouteTable> routes;
  // rds: `routes` came under this name; an empty table if RDS has said nothing.
  std::string rds_name;
  Duration rds_timeout{};                                  // initial_fetch_timeout
  std::shared_ptr<const config::ConfigSource> rds_source;  // null: ads
  bool lacks_routes = false;
  std::shared_ptr<const ScopedRoutes> scoped;         // null: `routes` is the one table
  std::shared_ptr<const route::ScopeTable> scopes;    // if `scoped`, in force; then never null
  std::shared_ptr<const LocalReplies> local_replies;  // null: the built-in texts
  std::vector<std::shared_ptr<const AccessLogger>> access_logs;
  std::shared_ptr<const Tracer> tracer;  // null: no tracing
  uint64_t own_hash = 0;                 // without what comes by RDS and ECDS
  uint64_t hash = 0;                     // of everything (listener_routes.h)

  // The scope of a request; null if it belongs to none.  Only if `scoped`.
  [[nodiscard]] const route::ScopeTable::Scope* scope_of(const http::RequestHead& head) const {
    route::ScopeKey key;
    return scoped->keys.build(head, key) ? scopes->find(key) : nullptr;
  }
  // The table that a request takes; null: it has no scope, or one without a table.
  [[nodiscard]] const route::RouteTable* table_of(const http::RequestHead& head) const {
    if (scoped == nullptr) [[likely]]
      return routes.get();
    const route::ScopeTable::Scope* scope = scope_of(head);
    return scope == nullptr ? nullptr : scope->table.get();
  }
};

}  // namespace pillion::core
