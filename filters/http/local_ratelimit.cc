// envoy.filters.http.local_ratelimit: a token bucket, shared by the workers; whoever comes to an
// empty one is answered with 429.  A route's configuration has a bucket of its own.
#include <charconv>
#include <string>

#include "filters/named_rows.h"
#include "filters/status_code.h"
#include "proxy/base/response_flags.h"
#include "proxy/base/token_bucket.h"
#include "proxy/core/http_filter.h"
#include "proxy/route/header_mutation.h"

namespace pillion::filters {
namespace {

using config::EnumRow;
using config::Fraction;
using config::Node;
using core::FilterContext;
using core::FilterVerdict;

constexpr std::string_view kLater = "comes with a later version";
constexpr uint32_t kResourceExhausted = 8;

// LocalRateLimit.
struct Limit {
  std::string stat_prefix;
  uint16_t status = 429;
  std::unique_ptr<TokenBucket> bucket;  // null: no limit
  Fraction enabled;                     // 0 %, unless it is set
  Fraction enforced;                    // of the enabled ones
  route::HeaderMutations response_headers;
  route::HeaderMutations unenforced_headers;  // of requests that pass in spite of the limit
  bool tells_limits = false;                  // x-ratelimit-*
  bool resource_exhausted = false;            // to gRPC
};

struct RouteConfig final : route::FilterRouteConfig {
  Limit limit;
};

// Counters by stat_prefix, of which routes may name further ones.
class WorkerState final : public core::FilterWorkerState {
 public:
  explicit WorkerState(const core::FilterWorkerSetup& setup)
      : registry_(setup.registry), writer_(setup.writer) {}
  stats::LocalRateLimitStats& stats(std::string_view prefix, Instant now) {
    return rows_.row(prefix, now, [this](std::string_view name) {
      return registry_.block<stats::LocalRateLimitStats>(writer_, name);
    });
  }

 private:
  stats::Registry& registry_;
  stats::Writer writer_;
  NamedRows<stats::LocalRateLimitStats> rows_;
};

class Filter;

class Factory final : public core::HttpFilterFactoryOf<Filter, Factory, WorkerState> {
 public:
  Limit limit;
};

class Filter final : public core::HttpFilter {
 public:
  Filter(const Factory& factory, FilterContext& context) : factory_(factory), context_(context) {}

  FilterVerdict on_request_head(http::RequestHead& head, bool) override {
    const auto* route = context_.route_config<RouteConfig>();
    const Limit& limit = route != nullptr ? route->limit : factory_.limit;
    if (!context_.draws(limit.enabled)) return FilterVerdict::kContinue;
    auto& stats = context_.worker_state<WorkerState>().stats(limit.stat_prefix, context_.now());
    stats.enabled.inc();
    used_ = &limit;
    if (limit.bucket == nullptr || limit.bucket->try_take(context_.now())) {
      stats.ok.inc();
      return FilterVerdict::kContinue;
    }
    stats.rate_limited.inc();
    if (!context_.draws(limit.enforced)) {
      limit.unenforced_headers.apply(head.headers, &context_.info());
      return FilterVerdict::kContinue;
    }
    stats.enforced.inc();
    refuse(limit);
    return FilterVerdict::kStop;
  }

  FilterVerdict on_response_head(http::ResponseHead& head, bool) override {
    if (used_ == nullptr || !used_->tells_limits || used_->bucket == nullptr)
      return FilterVerdict::kContinue;
    const TokenBucket& bucket = *used_->bucket;
    const Instant now = context_.now();
    const auto wait = std::chrono::ceil<std::chrono::seconds>(bucket.until_next(now));
    head.headers.add("x-ratelimit-limit", text(bucket.max_tokens()));
    head.headers.add("x-ratelimit-remaining", text(bucket.remaining(now)));
    head.headers.add("x-ratelimit-reset", text(static_cast<uint64_t>(wait.count())));
    return FilterVerdict::kContinue;
  }

 private:
  void refuse(const Limit& limit) {
    http::Headers headers(context_.arena());
    limit.response_headers.apply(headers, &context_.info());
    context_.info().flags |= flag_bit(ResponseFlag::kRateLimited);
    core::FilterReply reply{limit.status, "local_rate_limited", "local_rate_limited", &headers, {}};
    if (limit.resource_exhausted) reply.grpc_status = kResourceExhausted;
    context_.local_reply(reply);
  }
  [[nodiscard]] std::string_view text(uint64_t number) const {
    char* begin = context_.arena().allocate_array<char>(20);
    const char* end = std::to_chars(begin, begin + 20, number).ptr;
    return {begin, static_cast<size_t>(end - begin)};
  }

  const Factory& factory_;
  FilterContext& context_;
  const Limit* used_ = nullptr;  // the one that a token was asked of
};

constexpr EnumRow kHeaderVersions[] = {{"OFF", 0}, {"DRAFT_VERSION_03", 1}};

uint16_t parse_status(const Node& node) {
  const int code = node["code"].as_enum_or(429, kStatusCodes);
  node.reject_unknown_keys();
  return code < 400 ? uint16_t{429} : static_cast<uint16_t>(code);  // as Envoy
}

// envoy.type.v3.TokenBucket.
std::unique_ptr<TokenBucket> parse_bucket(const Node& node) {
  if (node.is_missing()) return nullptr;
  const uint32_t max = node.required("max_tokens").as_u32_or(1, 1);
  const uint32_t per_fill = node["tokens_per_fill"].as_u32_or(1, 1);
  const Node interval = node.required("fill_interval");
  const Duration fill = interval.as_duration_or(std::chrono::seconds(1));
  if (fill < std::chrono::milliseconds(50)) interval.expected("a duration of at least 50ms");
  node.reject_unknown_keys();
  return std::make_unique<TokenBucket>(std::max(max, 1u), std::max(per_fill, 1u),
                                       std::max<Duration>(fill, std::chrono::milliseconds(50)));
}

Limit parse_limit(const Node& node, const core::FilterParseContext& context) {
  Limit limit;
  limit.stat_prefix = node["stat_prefix"].as_string();
  limit.status = parse_status(node["status"]);
  limit.bucket = parse_bucket(node["token_bucket"]);
  limit.enabled = node["filter_enabled"].as_runtime_fraction_or(limit.enabled);
  limit.enforced = node["filter_enforced"].as_runtime_fraction_or(limit.enforced);
  limit.response_headers =
      route::HeaderMutations(node["response_headers_to_add"], {}, &context.formats);
  limit.unenforced_headers = route::HeaderMutations(
      node["request_headers_to_add_when_not_enforced"], {}, &context.formats);
  limit.tells_limits = node["enable_x_ratelimit_headers"].as_enum_or(0, kHeaderVersions) == 1;
  limit.resource_exhausted = node["rate_limited_as_resource_exhausted"].as_bool_or(false);
  const Node per_connection = node["local_rate_limit_per_downstream_connection"];
  if (per_connection.as_bool_or(false))
    node.unsupported({"local_rate_limit_per_downstream_connection"}, kLater);
  // These choose among descriptors, which are refused.
  node.ignore({"stage", "vh_rate_limits", "always_consume_default_token_bucket",
               "max_dynamic_descriptors"});
  node.unsupported(
      {"descriptors", "rate_limits", "local_cluster_rate_limit", "enable_retry_after_header"},
      kLater, config::Unknown::kAlwaysError);
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  return limit;
}

std::shared_ptr<const core::HttpFilterFactory> parse(const Node& node,
                                                     const core::FilterParseContext& context) {
  auto factory = std::make_shared<Factory>();
  factory->limit = parse_limit(node, context);
  return factory;
}

std::shared_ptr<const route::FilterRouteConfig> parse_route(
    const Node& node, const core::FilterParseContext& context) {
  auto config = std::make_shared<RouteConfig>();
  config->limit = parse_limit(node, context);
  (void)node.required("token_bucket");  // without it a route would say nothing
  return config;
}

constexpr std::string_view kType =
    "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";

}  // namespace

extern const core::HttpFilterType kLocalRateLimit;
const core::HttpFilterType kLocalRateLimit{kType, kType, parse, parse_route};

}  // namespace pillion::filters
