#pragma once
// HttpSpans: the spans of one sampled request.  In the stream's arena.

#include "proxy/telemetry/otlp.h"
#include "proxy/telemetry/tracing.h"

namespace pillion::telemetry {

class HttpSpans final : public core::SpanRecorder {
 public:
  // `tracer` is pinned by the stream's configuration.
  HttpSpans(const HttpTracer& tracer, const core::Tracer::Request& request, const TraceId& trace,
            const TraceContext& parent, std::string_view trace_state);

  void begin_attempt(const core::StreamInfo& info, http::RequestHead& head, Instant now) override;
  void end_attempt(const core::StreamInfo& info, uint16_t status, Failure failure,
                   Instant now) override;
  void finish(const core::StreamInfo& info, std::string_view operation) override;

  [[nodiscard]] uint64_t span() const noexcept { return span_; }

 private:
  struct Attempt {
    uint64_t span = 0;
    Instant began{};  // the epoch: none is open
    io::Address host;
    uint32_t number = 0;
  };

  [[nodiscard]] int64_t wall(Instant at) const noexcept {
    return at.time_since_epoch().count() + wall_offset_;
  }
  void send_attempt(const core::StreamInfo& info, uint16_t status, Failure failure, Instant end);
  void put_custom_tags(SpanEncoder& span, const http::Headers& headers) const;

  const HttpTracer& tracer_;
  Rng& rng_;
  stats::HttpStats& stats_;
  const TraceId trace_;
  const TraceContext parent_;
  const std::string_view trace_state_;
  const uint64_t span_;
  const int64_t wall_offset_;  // nanoseconds from the monotonic clock to 1970
  Attempt attempt_;
};

}  // namespace pillion::telemetry
