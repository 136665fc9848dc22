#pragma once
// The few messages of OTLP that we send, as protobuf (opentelemetry/proto/collector/trace/v1 and
// trace/v1, version 1).  Written by hand: they are fixed, and protobuf itself belongs to xds/.
//
// A worker encodes one Span with a SpanEncoder; control gathers many behind a Resource with
// write_request().

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/telemetry/trace_context.h"

namespace pillion::telemetry {

enum class SpanKind : uint8_t { kServer = 2, kClient = 3 };  // the values of Span.SpanKind

struct SpanHead {
  TraceId trace;
  uint64_t id = 0;
  uint64_t parent = 0;  // 0: a root
  std::string_view trace_state;
  std::string_view name;
  SpanKind kind = SpanKind::kServer;
  int64_t begin_ns = 0;  // since 1970
  int64_t end_ns = 0;
};

// Appends to a string of the caller's, which a thread may use again and again.  What is not UTF-8
// becomes '?': receivers refuse the whole batch otherwise.
class SpanEncoder {
 public:
  static constexpr size_t kMaxText = 1024;       // bytes of one value
  static constexpr size_t kMaxSpan = 12 * 1024;  // beyond it attributes are left out, and counted

  SpanEncoder(std::string& out, const SpanHead& head);

  // An empty text is no attribute.
  void attribute(std::string_view key, std::string_view value);
  void attribute(std::string_view key, int64_t value);
  void event(int64_t time_ns, std::string_view name);
  // Span.status ERROR; an unset status needs no call.
  void error(std::string_view message);
  // The last call.
  void finish();

 private:
  std::string& out_;
  uint32_t left_out_ = 0;
};

// Resource with these attributes; an empty value is none.
struct ResourceText {
  std::string_view service_name;
  std::string_view instance_id;
};
std::string encode_resource(const ResourceText& text);

// A span as an item of ScopeSpans, for write_request().
void append_span(std::string& spans, std::string_view span);
// ExportTraceServiceRequest: `resource` of encode_resource(), `spans` of append_span().
std::string write_request(std::string_view resource, std::string_view spans);

}  // namespace pillion::telemetry
