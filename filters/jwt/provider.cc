#include "filters/jwt/provider.h"

#include <algorithm>

#include "filters/http_target.h"
#include "proxy/base/str.h"
#include "proxy/tls/data_source.h"

namespace pillion::filters::jwt {
namespace {

using config::Node;
using config::Unknown;

constexpr uint32_t kDefaultCacheSize = 100;
constexpr uint32_t kMaxCacheSize = 100'000;
constexpr uint32_t kDefaultMaxCachedToken = 4096;
// As Envoy: asked for anew so long before the keys are too old.
constexpr Duration kRefreshBefore = std::chrono::seconds(5);

tls::JwkSetPtr parse_local_keys(const Node& node) {
  const tls::DataText data = tls::read_data_source(node);
  if (data.text.empty()) return nullptr;  // an error, which is recorded
  Result<tls::JwkSet> keys = tls::JwkSet::parse(data.text);
  if (!keys) {
    node.error(keys.error());
    return nullptr;
  }
  if (keys->skipped() != 0)
    node.warn(str(keys->skipped(), " of its keys cannot be used: ", keys->skip_reason()));
  return std::make_shared<const tls::JwkSet>(std::move(*keys));
}

// core.v3.RetryPolicy: what is left of it for a call that nobody waits for but we.
void parse_retry_policy(core::DocumentSource& out, const Node& node) {
  if (node.is_missing()) return;
  out.retries = node["num_retries"].as_u32_or(1, 0, 100);
  const Node back_off = node["retry_back_off"];
  out.retry_base = back_off["base_interval"].as_duration_or(std::chrono::seconds(1));
  out.retry_max = back_off["max_interval"].as_duration_or(10 * out.retry_base);
  if (back_off.is_present() && (out.retry_base == Duration{} || out.retry_max < out.retry_base))
    back_off.error("expected 0 < base_interval <= max_interval");
  back_off.reject_unknown_keys(Unknown::kAlwaysError);
  // Whatever went wrong is tried again.
  node.ignore({"retry_on"});
  node.unsupported({"retry_priority", "retry_host_predicate", "host_selection_retry_max_attempts"},
                   "comes with a later version", Unknown::kAlwaysError);
  node.reject_unknown_keys(Unknown::kAlwaysError);
}

std::shared_ptr<KeyDocument> parse_remote_keys(const Node& node, const std::string& stat_prefix,
                                               const core::FilterParseContext& context) {
  core::DocumentSource source;
  HttpTarget target = parse_http_target(node.required("http_uri"), context);
  source.cluster = std::move(target.cluster);
  source.authority = std::move(target.authority);
  source.path = std::move(target.path);
  source.timeout = target.timeout;
  source.max_bytes = tls::JwkSet::kMaxText;
  const Node cache = node["cache_duration"];
  source.refresh = cache.as_duration_or(std::chrono::minutes(10));
  if (source.refresh < std::chrono::milliseconds(1)) cache.expected("a duration of at least 1ms");
  if (source.refresh > kRefreshBefore) source.refresh -= kRefreshBefore;
  const Node async = node["async_fetch"];
  // Listeners never wait for keys here; requests do.
  async.ignore({"fast_listener"});
  source.after_failure = async["failed_refetch_duration"].as_duration_or(std::chrono::seconds(1));
  if (source.after_failure == Duration{})
    async["failed_refetch_duration"].expected("a duration above 0s");
  async.reject_unknown_keys(Unknown::kAlwaysError);
  parse_retry_policy(source, node["retry_policy"]);
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return std::make_shared<KeyDocument>(std::move(source), stat_prefix);
}

void parse_keys(Provider& out, const Node& node, const std::string& stat_prefix,
                const core::FilterParseContext& context) {
  const Node keys = node.one_of({"local_jwks", "remote_jwks"});
  if (keys.is_missing()) return;
  if (node.has("local_jwks")) {
    out.local_keys = parse_local_keys(keys);
  } else {
    out.remote_keys = parse_remote_keys(keys, stat_prefix, context);
  }
}

void parse_places(Provider& out, const Node& node) {
  for (const Node item : node["from_headers"].items()) {
    out.from_headers.push_back(
        {parse_header_name(item["name"]), item["value_prefix"].as_string_or("")});
    item.reject_unknown_keys(Unknown::kAlwaysError);
  }
  for (const Node item : node["from_params"].items()) out.from_params.push_back(item.as_string());
  for (const Node item : node["from_cookies"].items()) out.from_cookies.push_back(item.as_string());
  if (!out.from_headers.empty() || !out.from_params.empty() || !out.from_cookies.empty()) return;
  out.from_headers.push_back({"authorization", "Bearer "});
  out.from_params.emplace_back("access_token");
}

ClaimHeader parse_claim_header(const Node& node) {
  ClaimHeader out;
  out.header = parse_header_name(node["header_name"]);
  const Node claim = node.one_of({"claim_name", "claim_path"});
  if (claim.is_sequence()) {
    for (const Node segment : claim.items()) {
      out.path.push_back(segment["key"].as_string());
      segment.reject_unknown_keys(Unknown::kAlwaysError);
    }
    if (out.path.empty()) claim.expected("at least one segment");
  } else if (claim.is_present()) {
    const std::string name = claim.as_string();
    size_t begin = 0;
    for (size_t dot = name.find('.'); dot != name.npos; dot = name.find('.', begin)) {
      out.path.push_back(name.substr(begin, dot - begin));
      begin = dot + 1;
    }
    out.path.push_back(name.substr(begin));
  }
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return out;
}

void parse_cache(Provider& out, const Node& node) {
  if (node.is_missing()) return;
  const uint32_t size = node["jwt_cache_size"].as_u32_or(0, 0, kMaxCacheSize);
  const uint32_t max_token = node["jwt_max_token_size"].as_u32_or(0);
  out.cache_size = size == 0 ? kDefaultCacheSize : size;
  out.max_cached_token = max_token == 0 ? kDefaultMaxCachedToken : max_token;
  node.reject_unknown_keys(Unknown::kAlwaysError);
}

// What becomes of a good token.
void parse_effects(Provider& out, const Node& node) {
  out.forward = node["forward"].as_bool_or(false);
  if (const Node header = node["forward_payload_header"]; !header.as_view_or().empty())
    out.forward_payload_header = parse_header_name(header);
  out.pads_payload = node["pad_forward_payload_header"].as_bool_or(false);
  for (const Node item : node["claim_to_headers"].items())
    out.claim_headers.push_back(parse_claim_header(item));
  out.payload_in_metadata = node["payload_in_metadata"].as_string_or("");
  out.header_in_metadata = node["header_in_metadata"].as_string_or("");
  out.failed_status_in_metadata = node["failed_status_in_metadata"].as_string_or("");
  const Node normalize = node["normalize_payload_in_metadata"];
  for (const Node item : normalize["space_delimited_claims"].items())
    out.space_delimited_claims.push_back(item.as_string());
  normalize.reject_unknown_keys(Unknown::kAlwaysError);
  out.clears_route_cache = node["clear_route_cache"].as_bool_or(false);
}

}  // namespace

// ---- Audiences ----

std::string_view Audiences::bare(std::string_view audience) noexcept {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!audience.starts_with(scheme)) continue;
    audience.remove_prefix(scheme.size());
    break;
  }
  if (audience.ends_with('/')) audience.remove_suffix(1);
  return audience;
}

bool Audiences::allow(const std::vector<std::string>& of_token) const {
  if (list_.empty()) return true;
  return std::ranges::any_of(of_token, [this](const std::string& audience) {
    return std::ranges::find(list_, bare(audience)) != list_.end();
  });
}

// ---- KeyDocument ----

Result<core::SharedDocument::Value> KeyDocument::parse(std::string_view text) {
  Result<tls::JwkSet> keys = tls::JwkSet::parse(text);
  if (!keys) return Error{keys.error()};
  return Value(std::make_shared<const tls::JwkSet>(std::move(*keys)));
}

void KeyDocument::on_fetched(bool ok, const core::FilterWorkerSetup& setup) {
  if (!stats_) {
    stats_ =
        setup.registry.block<stats::JwtAuthnStats>(setup.writer, setup.stat_prefix, stat_prefix_);
  }
  (ok ? stats_->jwks_fetch_success : stats_->jwks_fetch_failed).inc();
}

// ---- Provider ----

std::unique_ptr<const Provider> parse_provider(const config::Entry& entry, uint32_t index,
                                               const std::string& stat_prefix,
                                               const core::FilterParseContext& context) {
  const Node& node = entry.node;
  auto out = std::make_unique<Provider>();
  out->name = entry.key;
  out->index = index;
  out->issuer = node["issuer"].as_string_or("");
  for (const Node item : node["audiences"].items()) out->audiences.add(item.as_string());
  if (const Node subjects = node["subjects"]; subjects.is_present())
    out->subjects = match::parse_string_matcher(subjects);
  out->requires_expiration = node["require_expiration"].as_bool_or(false);
  if (const Node lifetime = node["max_lifetime"]; lifetime.is_present())
    out->max_lifetime = lifetime.as_duration();
  if (const uint32_t skew = node["clock_skew_seconds"].as_u32_or(0); skew != 0)
    out->clock_skew = skew;
  parse_keys(*out, node, stat_prefix, context);
  parse_places(*out, node);
  parse_effects(*out, node);
  parse_cache(*out, node["jwt_cache_config"]);
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return out;
}

}  // namespace pillion::filters::jwt
