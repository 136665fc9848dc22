#pragma once
// Which requests are traced, by Envoy's rules (HttpConnectionManager.Tracing and the UUID request
// id extension): the caller's decision counts first, be it in the trace context or in the request
// id, whose 15th character says why a request is traced; then the percentages decide.  Both
// percentages look at the same number, the first eight digits of the request id, so that all
// proxies on a request's way decide alike.

#include <cstdint>

#include "proxy/base/rng.h"
#include "proxy/http/message.h"
#include "proxy/stats/registry.h"
#include "proxy/telemetry/trace_context.h"

namespace pillion::telemetry {

enum class TraceReason : uint8_t { kNotTraceable, kSampling, kServiceForced, kClientForced };

struct SamplingOptions {
  // Parts of 10,000.
  uint32_t client = 10'000;   // client_sampling: of requests with x-client-trace-id
  uint32_t random = 10'000;   // random_sampling
  uint32_t overall = 10'000;  // overall_sampling: of all the others would trace
};

// How far the request id takes part (UuidRequestIdConfig).
struct RequestIdRole {
  bool carries_reason = true;  // pack_trace_reason
  bool samples = true;         // use_request_id_for_trace_sampling
};

struct TraceDecision {
  TraceReason reason = TraceReason::kNotTraceable;
  bool sampled = false;
};

// Decides, and writes the reason into the request id of `head`.
TraceDecision decide_trace(http::RequestHead& head, const TraceContext& parent,
                           const SamplingOptions& options, RequestIdRole role, Rng& rng);

// http.<stat_prefix>.tracing.*
void count_trace(stats::HttpStats& stats, TraceReason reason) noexcept;

}  // namespace pillion::telemetry
