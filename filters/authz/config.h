#pragma once
// The configuration of ext_authz (envoy.extensions.filters.http.ext_authz.v3), compiled. Immutable.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "filters/http_target.h"
#include "proxy/core/http_filter.h"
#include "proxy/core/metadata_matcher.h"
#include "proxy/match/regex.h"
#include "proxy/match/string.h"

namespace pillion::filters::authz {

// envoy.type.matcher.v3.ListStringMatcher, of lower-case names of headers.
struct NameList {
  std::vector<match::StringMatcher> patterns;

  [[nodiscard]] bool empty() const noexcept { return patterns.empty(); }
  [[nodiscard]] bool has(std::string_view name) const;
};

// config.common.mutation_rules.v3.HeaderMutationRules: which request headers may be changed.
struct MutationRules {
  bool allow_all_routing = false;
  bool allow_envoy = false;
  bool disallow_system = false;
  bool disallow_all = false;
  bool disallow_is_error = false;
  match::RegexPtr allow;     // null: none
  match::RegexPtr disallow;  // null: none

  [[nodiscard]] bool allows(std::string_view name) const;
};

// Whom to ask, and how.
struct Service {
  bool is_grpc = false;
  std::string cluster;
  std::string authority;  // empty: the cluster's name
  Duration timeout = std::chrono::milliseconds(200);
  std::vector<std::pair<std::string, std::string>> headers;  // added to the call's
  // HTTP only.
  std::string path_prefix;
  NameList allowed_request;  // besides the usual ones
  NameList upstream_set;     // of the answer, into the request
  NameList upstream_append;
  NameList client;             // of a refusal, to the client; see all_to_client
  bool all_to_client = true;   // `client` was not set
  NameList client_on_success;  // into the response
  NameList metadata;           // into dynamic metadata
};

// BufferSettings.
struct BodySettings {
  uint32_t max_bytes = 0;  // 0: the body is not sent
  bool allow_partial = false;
  bool pack_as_bytes = false;
};

struct Config {
  std::unique_ptr<const Service> service;  // null: after an error only
  BodySettings body;
  bool failure_mode_allow = false;
  bool failure_mode_header = false;
  bool clear_route_cache = false;
  uint16_t status_on_error = 403;
  config::Fraction enabled{100, 100};
  std::optional<core::MetadataMatcher> enabled_metadata;
  bool deny_at_disable = false;
  std::vector<std::string> metadata_namespaces;
  std::optional<NameList> allowed_headers;
  NameList disallowed_headers;
  std::optional<MutationRules> mutation_rules;
  bool include_tls_session = false;
  bool raw_headers = false;
  bool takes_metadata = true;
  uint32_t max_reply_body = 0;  // 0: any
  std::string stat_prefix;      // ".x", or empty
};

// ExtAuthzPerRoute.
struct RouteConfig final : route::FilterRouteConfig {
  bool disabled = false;
  std::map<std::string, std::string> context_extensions;
  std::optional<BodySettings> body;  // none: the filter's
  std::unique_ptr<const Service> service;
};

Config parse_config(const config::Node& node, const core::FilterParseContext& context);
std::shared_ptr<const RouteConfig> parse_route_config(const config::Node& node,
                                                      const core::FilterParseContext& context);

}  // namespace pillion::filters::authz
