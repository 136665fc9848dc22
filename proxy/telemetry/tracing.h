#pragma once
// Tracing of an HttpConnectionManager with the OpenTelemetry tracer (envoy.tracers.opentelemetry).
//
// A request that is sampled gets a span of its own and, with spawn_upstream_span, one for each
// attempt.  Spans are encoded when they end, on the worker, and handed to the SpanExporter; until
// then their facts lie in the stream's arena.  A request that is not sampled costs the look at its
// head, and one field where it begins a trace, so that those behind us decide alike.
//
// What Envoy's tracer does otherwise: B3 fields are read and answered; spans have OpenTelemetry's
// HTTP attributes beside a few of Envoy's tags; a malformed traceparent begins a new trace; a
// caller that is not sampled is passed on untouched, without a span id of ours.

#include <memory>
#include <string>
#include <vector>

#include "proxy/config/node.h"
#include "proxy/core/tracer.h"
#include "proxy/http/headers.h"
#include "proxy/telemetry/sampling.h"
#include "proxy/telemetry/span_exporter.h"

namespace pillion::telemetry {

// custom_tags: a literal (or the value of an environment variable), or a field of the request.
struct CustomTag {
  std::string name;
  std::string header;  // lower case; empty: `value` is the tag's
  std::string value;   // of a field that is missing: stands in, unless empty
};

struct TracingOptions {
  SamplingOptions sampling;
  std::vector<CustomTag> custom_tags;
  uint32_t max_path_length = 256;  // max_path_tag_length
  bool spawn_upstream_span = false;
  bool verbose = false;      // events for the steps of the exchange
  bool is_outbound = false;  // the listener's traffic direction
};

class HttpTracer final : public core::Tracer {
 public:
  // `exporter` outlives it; null with `target`: nothing is traced (`pillion check`).
  HttpTracer(TracingOptions options, SpanExporter* exporter, SpanTargetPtr target)
      : options_(std::move(options)), exporter_(exporter), target_(std::move(target)) {}

  const core::StreamTrace* begin(const Request& request) const override;

  [[nodiscard]] const TracingOptions& options() const noexcept { return options_; }
  [[nodiscard]] const SpanTargetPtr& target() const noexcept { return target_; }
  void send(std::string_view span) const { exporter_->push(*target_, span); }

 private:
  TracingOptions options_;
  SpanExporter* exporter_;
  SpanTargetPtr target_;
};

// HttpConnectionManager.Tracing; missing: null.  Errors go to the node's list; the collector's
// cluster to `clusters`.  `exporter` may be null: nothing is exported then.  `instance` is the
// node's id.
std::shared_ptr<const core::Tracer> parse_tracing(
    const config::Node& node, bool is_outbound, std::string_view instance, SpanExporter* exporter,
    std::vector<config::Located<std::string>>& clusters);

}  // namespace pillion::telemetry
