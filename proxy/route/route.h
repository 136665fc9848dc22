#pragma once
// What a route configuration says, compiled: plain immutable structs, owned by their RouteTable and
// shared by all workers.  Field names are Envoy's (envoy.config.route.v3).

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/match/regex.h"
#include "proxy/route/conditions.h"
#include "proxy/route/filter_override.h"
#include "proxy/route/header_mutation.h"
#include "proxy/route/path_matcher.h"
#include "proxy/route/retry_policy.h"
#include "proxy/route/route_index.h"

namespace pillion::route {

class RouteTable;

// One share of weighted_clusters.
struct WeightedCluster {
  std::string cluster;         // or
  std::string cluster_header;  // lower case: the header that names it
  std::string host_rewrite;    // host_rewrite_literal; empty: none
  std::unique_ptr<const LevelMutations> mutations;
  std::unique_ptr<const FilterOverrides> filters;
  uint64_t weight_end = 0;  // sum of the weights up to and with this one
};

struct WeightedClusters {
  std::vector<WeightedCluster> clusters;  // without those of weight 0
  std::string random_header;              // lower case: its number decides; empty: the dice do
  uint64_t total_weight = 0;
};

struct UpgradeRule {
  std::string type;  // lower case: "websocket", "connect"
  bool enabled = true;
  bool terminates = false;  // connect_config: the upstream gets what a CONNECT carries, raw
};

// How the path and the authority change on their way; what is empty changes nothing.
struct Rewrite {
  std::string prefix;                  // prefix_rewrite
  match::RegexRewrite regex;           // regex_rewrite
  std::string host;                    // host_rewrite_literal
  std::string host_header;             // host_rewrite_header, lower case
  match::RegexRewrite host_from_path;  // host_rewrite_path_regex
  bool host_from_upstream = false;     // auto_host_rewrite: core calls rewrite_host()
  bool append_x_forwarded_host = false;
};

// Envoy's default of per_connection_buffer_limit_bytes, which bounds it there.
inline constexpr uint32_t kDefaultBodyLimit = 1024 * 1024;

// RouteAction.
struct ForwardAction {
  std::string cluster;         // one of these three is set
  std::string cluster_header;  // lower case
  std::unique_ptr<const WeightedClusters> weighted;
  std::unique_ptr<const Rewrite> rewrite;  // null: nothing changes
  std::vector<UpgradeRule> upgrades;
  std::shared_ptr<const RetryPolicy> retry;  // the route's, or else the virtual host's; may be null
  // From the end of the request; 0: none, as in a route that says max_stream_duration.
  Duration timeout = std::chrono::seconds(15);
  std::optional<Duration> max_grpc_timeout;  // grpc-timeout instead of it, up to this; 0: any
  std::optional<Duration> grpc_timeout_header_max;  // or instead of max_stream_duration; 0: any
  Duration grpc_timeout_offset{};                   // less than grpc-timeout by this, of either
  std::optional<Duration> idle_timeout;         // of the stream, instead of the manager's; 0: none
  std::optional<Duration> max_stream_duration;  // instead of the manager's; 0: none
  uint32_t body_limit = kDefaultBodyLimit;      // of what is kept of a request for its retries
  uint16_t cluster_not_found_status = 503;
};

// RedirectAction; what is empty stays as it came.
struct RedirectAction {
  std::string scheme;  // https_redirect is "https"
  std::string host;    // host_redirect
  std::string path;    // path_redirect; it may carry a query
  std::string prefix;  // prefix_rewrite
  match::RegexRewrite regex;
  uint16_t port = 0;  // port_redirect
  uint16_t status = 301;
  bool strip_query = false;
};

// DirectResponseAction.
struct DirectResponse {
  std::string body;
  uint16_t status = 200;
};

struct Route {
  enum class Kind : uint8_t { kForward, kRedirect, kDirectResponse };

  PathMatcher path;
  Kind kind = Kind::kForward;
  std::unique_ptr<const RouteConditions> conditions;  // null: the path alone decides
  // Of its kind; the others are null.
  std::unique_ptr<const ForwardAction> forward;
  std::unique_ptr<const RedirectAction> redirect;
  std::unique_ptr<const DirectResponse> direct_response;
  std::unique_ptr<const LevelMutations> mutations;
  std::unique_ptr<const FilterOverrides> filters;
  std::string name;
  std::string operation;  // decorator.operation: what traces call it; empty: nothing
};

// Has anybody used a virtual host since somebody looked?  Workers set it, control takes it: a store
// for each look at most.
class UseMark {
 public:
  void touch() const noexcept {
    if (!used_.load(std::memory_order_relaxed)) used_.store(true, std::memory_order_relaxed);
  }
  bool take() const noexcept { return used_.exchange(false, std::memory_order_relaxed); }

 private:
  mutable std::atomic<bool> used_{false};
};

struct RouteList {
  std::vector<Route> routes;
  std::unique_ptr<const RouteIndex> index;  // of the routes, if there are many
};

// A copy shares all that is large: one that came by VHDS is in each table that follows.
struct VirtualHost {
  enum class RequireTls : uint8_t { kNone, kExternalOnly, kAll };

  std::string name;
  std::vector<std::string> domains;
  std::shared_ptr<const RouteList> list;
  std::span<const Route> routes;  // of the list
  std::shared_ptr<const LevelMutations> mutations;
  std::shared_ptr<const FilterOverrides> filters;
  RequireTls require_tls = RequireTls::kNone;
  bool count_attempts_in_request = false;   // include_request_attempt_count
  bool count_attempts_in_response = false;  // include_attempt_count_in_response
  bool marks_timeout_retries = false;       // include_is_timeout_retry_header
  uint64_t hash = 0;                        // of what it was configured with
  std::shared_ptr<const UseMark> use;       // of one that came by VHDS
  const RouteTable* table = nullptr;
};

}  // namespace pillion::route
