#pragma once
// Tracing as core/ knows it; telemetry/ implements it (contexts, sampling, spans, export).
//
//   prepare        -> Tracer::begin: reads what the client says of the trace, decides, and writes
//                     the fields that go on to the upstream
//   start_attempt  -> SpanRecorder::begin_attempt     only of requests that are sampled
//   try_again      -> SpanRecorder::end_attempt       likewise
//   finish         -> SpanRecorder::finish            likewise; the spans leave the worker here
//
// Everything that belongs to one request lives in its arena.

#include <string_view>

#include "proxy/base/arena.h"
#include "proxy/base/rng.h"
#include "proxy/core/stream_info.h"
#include "proxy/stats/registry.h"

namespace pillion::core {

// A request that is sampled.  An attempt that is still open when the next begins, or the stream
// finishes, ends then.
class SpanRecorder {
 public:
  // A new host is asked: `info.upstream` tells which.  Writes the fields that name the attempt's
  // span as the upstream's parent into `head`.
  virtual void begin_attempt(const StreamInfo& info, http::RequestHead& head, Instant now) = 0;
  // The attempt failed and another may follow; or its response, of that status, is not used (then
  // the failure is of kind kNone).
  virtual void end_attempt(const StreamInfo& info, uint16_t status, Failure failure,
                           Instant now) = 0;
  // The stream is over.  `operation` names its span (Route.decorator); empty: as the head says.
  virtual void finish(const StreamInfo& info, std::string_view operation) = 0;

 protected:
  ~SpanRecorder() = default;
};

// The trace that a request belongs to, sampled or not.
struct StreamTrace {
  std::string_view trace_id;         // 32 lower-case hexadecimal digits
  std::string_view span_id;          // 16, of our own span; of the parent if that is not sampled
  SpanRecorder* recorder = nullptr;  // null: not sampled
};

// Of an HttpConnectionManager: part of the immutable configuration, shared by all workers.
class Tracer {
 public:
  struct Request {
    const StreamInfo& info;
    http::RequestHead& head;  // of `info`
    Arena& arena;
    Rng& rng;
    stats::HttpStats& stats;
    // UuidRequestIdConfig: pack_trace_reason, use_request_id_for_trace_sampling.
    bool id_carries_reason;
    bool id_samples;
  };
  virtual ~Tracer() = default;
  // Null: the request belongs to no trace (there is nowhere to send spans).
  virtual const StreamTrace* begin(const Request& request) const = 0;
};

}  // namespace pillion::core
