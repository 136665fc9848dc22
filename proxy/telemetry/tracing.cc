#include "proxy/telemetry/tracing.h"

#include <algorithm>

#include "proxy/base/ascii.h"
#include "proxy/base/hex.h"
#include "proxy/telemetry/span_recorder.h"

namespace pillion::telemetry {
namespace {

using http::HeaderId;

std::string_view hex(Arena& arena, uint64_t id) {
  char* text = arena.allocate_array<char>(kSpanIdText);
  write_hex64(text, id);
  return {text, kSpanIdText};
}

std::string_view hex(Arena& arena, const TraceId& id) {
  char* text = arena.allocate_array<char>(kTraceIdText);
  write_trace_id(text, id);
  return {text, kTraceIdText};
}

// What came with a parent that cannot be used belongs to no trace of ours.
void remove_trace_fields(http::Headers& headers) {
  for (http::Field* f = headers.mutable_begin(); f != headers.end(); ++f) {
    switch (f->id) {
      case HeaderId::kTraceparent:
      case HeaderId::kTracestate:
      case HeaderId::kB3:
      case HeaderId::kXB3TraceId:
      case HeaderId::kXB3SpanId:
      case HeaderId::kXB3Sampled:
      case HeaderId::kXB3Flags:
      case HeaderId::kXB3ParentSpanId:
        f->id = HeaderId::kRemoved;
        break;
      default:
        break;
    }
  }
}

// The caller's tracestate, all fields of it, if it may go on; else it is taken away.
std::string_view check_tracestate(http::Headers& headers, const TraceContext& parent) {
  size_t size = 0;
  for (const http::Field& f : headers) {
    if (f.id == HeaderId::kTracestate) size += f.value.size() + 1;
  }
  if (size == 0) return {};
  char* const text = headers.arena().allocate_array<char>(size);
  char* at = text;
  for (const http::Field& f : headers) {
    if (f.id != HeaderId::kTracestate) continue;
    if (at != text) *at++ = ',';
    at = std::ranges::copy(f.value, at).out;
  }
  const std::string_view list(text, static_cast<size_t>(at - text));
  const bool is_valid = parent.form == TraceForm::kW3c && is_valid_tracestate(list);
  if (is_valid && !trim(list).empty()) return list;
  headers.remove(HeaderId::kTracestate);
  return {};
}

}  // namespace

const core::StreamTrace* HttpTracer::begin(const Request& request) const {
  if (target_ == nullptr) return nullptr;
  http::Headers& headers = request.head.headers;
  TraceContext parent = read_trace_context(headers);
  const TraceDecision decision =
      decide_trace(request.head, parent, options_.sampling,
                   {request.id_carries_reason, request.id_samples}, request.rng);
  count_trace(request.stats, decision.reason);
  auto* trace = request.arena.create<core::StreamTrace>();
  // As it came: whoever is behind us sees the caller.
  const bool passes_on = parent.has_parent() && !decision.sampled;
  if (passes_on && parent.form == TraceForm::kW3c && parent.sampled == Sampled::kNo) {
    trace->trace_id = hex(request.arena, parent.trace);
    trace->span_id = hex(request.arena, parent.span);
    return trace;
  }
  const std::string_view state = check_tracestate(headers, parent);
  if (parent.malformed || parent.form == TraceForm::kNone) remove_trace_fields(headers);
  const TraceId id = parent.has_parent() ? parent.trace : make_trace_id(request.rng);
  trace->trace_id = hex(request.arena, id);
  uint64_t span = parent.span;
  if (decision.sampled) {
    auto* spans = request.arena.create<HttpSpans>(*this, request, id, parent, state);
    trace->recorder = spans;
    span = spans->span();
  } else if (!parent.has_parent() || parent.sampled == Sampled::kYes) {
    // The flag changes only together with the id (Trace Context, "Mutating the traceparent").
    span = make_span_id(request.rng);
  }
  trace->span_id = hex(request.arena, span);
  // With a span for each attempt that one writes the fields.
  if (!decision.sampled || !options_.spawn_upstream_span) {
    write_trace_context(headers, {id, span, decision.sampled ? parent.span : 0, decision.sampled,
                                  parent.debug, parent.random});
  }
  return trace;
}

}  // namespace pillion::telemetry
