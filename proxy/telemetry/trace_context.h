#pragma once
// The fields by which a trace goes from hop to hop: W3C Trace Context (traceparent, tracestate;
// level 2) and B3 in its two forms (github.com/openzipkin/b3-propagation).
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
  bool debug = false;      // B3's: more than sampled, to be passed on
  bool random = false;     // traceparent's second flag: the trace id is a random number
  bool malformed = false;  // there was a traceparent, and it cannot be used

  [[nodiscard]] bool has_parent() const noexcept { return trace.is_valid(); }
};

TraceContext read_trace_context(const http::Headers& headers) noexcept;

// One field each; false leaves `out` as it is.
bool parse_traceparent(std::string_view text, TraceContext& out) noexcept;
bool parse_b3(std::string_view text, TraceContext& out) noexcept;
// The list of one or more tracestate fields, joined by commas: key=value members, at most 32.
bool is_valid_tracestate(std::string_view text) noexcept;

// Ids that are never zero.
TraceId make_trace_id(Rng& rng) noexcept;
uint64_t make_span_id(Rng& rng) noexcept;

// Lower-case hexadecimal, no NUL.
inline constexpr size_t kTraceIdText = 32;
inline constexpr size_t kSpanIdText = 16;
void write_trace_id(char* out, const TraceId& id) noexcept;

// What an upstream is told.
struct TraceFields {
  TraceId trace;
  uint64_t span = 0;
  uint64_t parent = 0;  // of the span, which B3 tells; 0: it is not said
  bool sampled = false;
  bool debug = false;   // TraceContext's, and
  bool random = false;  // of a trace that began elsewhere: our own do not say it, for many a reader
                        // (OpenTelemetry's in Go until 2025) takes flags above 02 for malformed
};
// Writes traceparent, and those fields of B3 that `headers` have in some form.  Text is made in the
// arena of `headers`.
void write_trace_context(http::Headers& headers, const TraceFields& fields);

}  // namespace pillion::telemetry
