#pragma once
// The fields by which a trace goes from hop to hop: W3C Trace Context (traceparent, tracestate;
// W3C recommendation of 2021) and B3 in its two forms (github.com/openzipkin/b3-propagation).
//
// Read strictly: what is malformed is as if it were not there, and a new trace begins.  Where
// several came, traceparent counts, then b3, then x-b3-*.

#include <cstdint>
#include <string_view>

#include "proxy/base/rng.h"
#include "proxy/http/headers.h"

namespace pillion::telemetry {

struct TraceId {
  uint64_t high = 0;  // 0 in the 64-bit ids of B3
  uint64_t low = 0;
  [[nodiscard]] bool is_valid() const noexcept { return (high | low) != 0; }
  friend bool operator==(const TraceId&, const TraceId&) = default;
};

enum class TraceForm : uint8_t { kNone, kW3c, kB3Single, kB3Multi };
// What the caller says of recording: of a B3 context it may leave the decision to us.
enum class Sampled : uint8_t { kUnsaid, kNo, kYes };

struct TraceContext {
  TraceForm form = TraceForm::kNone;
  TraceId trace;      // none: only a decision came (B3), or nothing
  uint64_t span = 0;  // the caller's
  Sampled sampled = Sampled::kUnsaid;
  bool malformed = false;  // there was a traceparent, and it cannot be used

  [[nodiscard]] bool has_parent() const noexcept { return trace.is_valid(); }
};

TraceContext read_trace_context(const http::Headers& headers) noexcept;

// One field each; false leaves `out` as it is.
bool parse_traceparent(std::string_view text, TraceContext& out) noexcept;
bool parse_b3(std::string_view text, TraceContext& out) noexcept;
// The list of one or more tracestate fields: key=value members, at most 32, at most 512 bytes.
bool is_valid_tracestate(std::string_view text) noexcept;

// Ids that are never zero.
TraceId make_trace_id(Rng& rng) noexcept;
uint64_t make_span_id(Rng& rng) noexcept;

// Lower-case hexadecimal, no NUL.
inline constexpr size_t kTraceIdText = 32;
inline constexpr size_t kSpanIdText = 16;
void write_trace_id(char* out, const TraceId& id) noexcept;

// Writes the fields that tell an upstream of the trace: traceparent always, and those of the form
// that came in.  Text is made in the arena of `headers`.
void write_trace_context(http::Headers& headers, TraceForm form, const TraceId& trace,
                         uint64_t span, uint64_t parent, bool sampled);

}  // namespace pillion::telemetry
