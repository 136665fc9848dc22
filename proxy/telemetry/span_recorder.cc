#include "proxy/telemetry/span_recorder.h"

#include <algorithm>
#include <charconv>

#include "proxy/base/response_flags.h"
#include "proxy/base/str.h"
#include "proxy/http/grpc.h"

namespace pillion::telemetry {
namespace {

using core::StreamInfo;
using http::HeaderId;

// Each thread encodes one span after the other.
thread_local std::string encoded;

// A text on the stack, of pieces; what does not fit is left out.
class Line {
 public:
  Line& put(std::string_view text) noexcept {
    size_ += text.copy(data_ + size_, sizeof data_ - size_);
    return *this;
  }
  [[nodiscard]] std::string_view view() const noexcept { return {data_, size_}; }

 private:
  char data_[SpanEncoder::kMaxText];
  size_t size_ = 0;
};

// OpenTelemetry knows the methods of RFC 9110 and PATCH.
std::string_view method_of(const http::RequestHead& head) noexcept {
  return head.method == http::Method::kOther ? "_OTHER" : head.method_text;
}

std::string_view version_of(http::Protocol protocol) noexcept {
  switch (protocol) {
    case http::Protocol::kHttp10:
      return "1.0";
    case http::Protocol::kHttp11:
      return "1.1";
    case http::Protocol::kHttp2:
      return "2";
  }
  return {};
}

void put_address(SpanEncoder& span, std::string_view address_key, std::string_view port_key,
                 const io::Address& address) {
  char text[io::Address::kMaxText];
  if (address.kind() == io::Address::Kind::kNone) return;
  span.attribute(address_key, std::string_view(text, address.format(text, false)));
  if (!port_key.empty() && address.is_ip()) span.attribute(port_key, int64_t{address.port()});
}

// "users.shop:8080" as host and port.
void put_authority(SpanEncoder& span, std::string_view authority) {
  const size_t colon = authority.rfind(':');
  const size_t bracket = authority.rfind(']');
  const bool has_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  uint16_t port = 0;
  if (has_port) {
    const std::string_view text = authority.substr(colon + 1);
    std::from_chars(text.data(), text.data() + text.size(), port);
  }
  span.attribute("server.address", has_port ? authority.substr(0, colon) : authority);
  if (port != 0) span.attribute("server.port", int64_t{port});
}

void put_method(SpanEncoder& span, const http::RequestHead& head) {
  span.attribute("http.request.method", method_of(head));
  if (head.method == http::Method::kOther)
    span.attribute("http.request.method_original", head.method_text);
}

void put_path(SpanEncoder& span, std::string_view path, uint32_t max_length) {
  const size_t question = std::min(path.find('?'), path.size());
  span.attribute("url.path", path.substr(0, std::min<size_t>(question, max_length)));
  if (question < path.size())
    span.attribute("url.query", path.substr(question + 1).substr(0, max_length));
}

void put_flags(SpanEncoder& span, uint32_t bits) {
  if (bits == 0) return;
  Line line;
  for (; bits != 0; bits &= bits - 1) {
    if (!line.view().empty()) line.put(",");
    line.put(kResponseFlags[static_cast<size_t>(__builtin_ctz(bits))].name);
  }
  span.attribute("response_flags", line.view());
}

void put_cluster(SpanEncoder& span, const StreamInfo& info) {
  span.attribute("upstream_cluster", info.upstream.cluster);
  span.attribute("upstream_cluster.name", info.upstream.cluster);
}

// gRPC's own status: in the trailers, or in the head of a response without a body.  -1: none.
int64_t grpc_status(const StreamInfo& info) noexcept {
  if (info.response == nullptr || !http::is_grpc(info.request->headers)) return -1;
  return http::grpc_status(info.response->headers, info.response_trailers).value_or(-1);
}

// Those that are a server's fault (OpenTelemetry's conventions for gRPC).
constexpr bool is_grpc_error(int64_t status, SpanKind kind) noexcept {
  if (status <= 0) return false;
  if (kind == SpanKind::kClient) return true;
  return status == 2 || status == 4 || status == 12 || status == 13 || status == 14 || status == 15;
}

// What went wrong: error.type and the span's status.
void put_outcome(SpanEncoder& span, SpanKind kind, uint16_t status, Failure failure,
                 std::string_view details, int64_t grpc) {
  if (status != 0) span.attribute("http.response.status_code", int64_t{status});
  if (grpc >= 0) {
    span.attribute("rpc.system", "grpc");
    span.attribute("rpc.grpc.status_code", grpc);
  }
  const bool is_bad = status >= (kind == SpanKind::kClient ? 400 : 500);
  if (!failure && !is_bad && status != 0 && !is_grpc_error(grpc, kind)) return;
  char text[8];
  const auto end = std::to_chars(text, text + sizeof text, status).ptr;
  const std::string_view code(text, static_cast<size_t>(end - text));
  if (failure) {
    span.attribute("error.type", failure.row().details);
  } else {
    span.attribute("error.type", is_bad ? code : status == 0 ? "aborted" : "grpc");
  }
  if (failure || is_bad || status == 0) span.attribute("error", "true");
  span.error(details == "via_upstream" ? std::string_view() : details);
}

struct Step {
  std::string_view name;
  Instant core::StreamTimes::* at;
};
constexpr Step kSteps[] = {{"last_downstream_rx_byte_received", &core::StreamTimes::ds_rx_end},
                           {"first_upstream_tx_byte_sent", &core::StreamTimes::us_tx_begin},
                           {"last_upstream_tx_byte_sent", &core::StreamTimes::us_tx_end},
                           {"first_upstream_rx_byte_received", &core::StreamTimes::us_rx_begin},
                           {"last_upstream_rx_byte_received", &core::StreamTimes::us_rx_end},
                           {"first_downstream_tx_byte_sent", &core::StreamTimes::ds_tx_begin},
                           {"last_downstream_tx_byte_sent", &core::StreamTimes::ds_tx_end}};

}  // namespace

HttpSpans::HttpSpans(const HttpTracer& tracer, const core::Tracer::Request& request,
                     const TraceId& trace, const TraceContext& parent, std::string_view trace_state)
    : tracer_(tracer),
      rng_(request.rng),
      stats_(request.stats),
      trace_(trace),
      parent_(parent),
      trace_state_(trace_state),
      span_(make_span_id(request.rng)),
      wall_offset_(wall_now().time_since_epoch().count() -
                   MonotonicClock::now().time_since_epoch().count()) {}

// ---- attempts ----

void HttpSpans::begin_attempt(const StreamInfo& info, http::RequestHead& head, Instant now) {
  if (!tracer_.options().spawn_upstream_span) return;
  end_attempt(info, 0, {}, now);
  attempt_ = {make_span_id(rng_), now, info.upstream.remote, info.upstream.attempts};
  write_trace_context(head.headers,
                      {trace_, attempt_.span, span_, true, parent_.debug, parent_.random});
}

void HttpSpans::end_attempt(const StreamInfo& info, uint16_t status, Failure failure, Instant now) {
  if (attempt_.began == Instant{}) return;
  send_attempt(info, status, failure, now);
  attempt_.began = {};
}

void HttpSpans::send_attempt(const StreamInfo& info, uint16_t status, Failure failure,
                             Instant end) {
  if (info.is_health_check) return;  // nor is its request
  const http::RequestHead& head = *info.request;
  Line name;
  name.put(head.method == http::Method::kOther ? "HTTP" : head.method_text)
      .put(" ")
      .put(info.upstream.cluster);
  SpanEncoder span(encoded, {trace_, attempt_.span, span_, trace_state_, name.view(),
                             SpanKind::kClient, wall(attempt_.began), wall(end)});
  put_method(span, head);
  const std::string_view path = head.path.substr(0, tracer_.options().max_path_length);
  span.attribute("url.full",
                 Line().put(head.scheme).put("://").put(head.authority).put(path).view());
  put_authority(span, head.authority);
  put_address(span, "network.peer.address", "network.peer.port", attempt_.host);
  char text[io::Address::kMaxText];
  span.attribute("upstream_address", std::string_view(text, attempt_.host.format(text, true)));
  put_cluster(span, info);
  span.attribute("component", "proxy");
  if (attempt_.number > 1)
    span.attribute("http.request.resend_count", int64_t{attempt_.number} - 1);
  put_custom_tags(span, head.headers);
  const bool is_last = info.times.end != Instant{};
  put_outcome(span, SpanKind::kClient, status, failure,
              failure ? failure.row().details : std::string_view(),
              is_last && status != 0 ? grpc_status(info) : -1);
  span.finish();
  tracer_.send(encoded);
}

// ---- the request ----

void HttpSpans::finish(const StreamInfo& info, std::string_view operation) {
  const bool answered_by_us = info.response_details != "via_upstream";
  if (attempt_.began != Instant{}) {
    const uint16_t status = answered_by_us ? uint16_t{0} : info.response_code;
    send_attempt(info, status, info.failure, info.times.end);
  }
  if (info.is_health_check) return stats_.tracing_health_check.inc();
  const TracingOptions& options = tracer_.options();
  const http::RequestHead& head = *info.request;
  const std::string_view where = info.route_name.empty() ? info.virtual_host : info.route_name;
  Line name;
  if (operation.empty()) {
    name.put(head.method == http::Method::kOther ? "HTTP" : head.method_text);
    if (!where.empty()) name.put(" ").put(where);
  } else {
    name.put(operation);
  }
  const bool is_client = options.is_outbound && !options.spawn_upstream_span;
  const SpanKind kind = is_client ? SpanKind::kClient : SpanKind::kServer;
  SpanEncoder span(encoded, {trace_, span_, parent_.span, trace_state_, name.view(), kind,
                             wall(info.times.ds_rx_begin), wall(info.times.end)});
  put_method(span, head);
  span.attribute("url.scheme", head.scheme);
  put_path(span, info.original_path, options.max_path_length);
  put_authority(span, head.authority);
  put_address(span, "client.address", {}, info.connection->remote);
  put_address(span, "network.peer.address", "network.peer.port", info.connection->direct_remote());
  span.attribute("network.protocol.name", "http");
  span.attribute("network.protocol.version", version_of(head.protocol));
  span.attribute("user_agent.original", head.headers.get(HeaderId::kUserAgent));
  span.attribute("http.request.body.size", static_cast<int64_t>(info.bytes_received));
  span.attribute("http.response.body.size", static_cast<int64_t>(info.bytes_sent));
  span.attribute("component", "proxy");
  span.attribute("guid:x-request-id", head.headers.get(HeaderId::kXRequestId));
  span.attribute("guid:x-client-trace-id", head.headers.get(HeaderId::kXClientTraceId));
  put_cluster(span, info);
  put_flags(span, info.flags | flag_bit(info.failure));
  put_custom_tags(span, head.headers);
  if (options.verbose) {
    for (const Step& step : kSteps) {
      if (info.times.*step.at != Instant{}) span.event(wall(info.times.*step.at), step.name);
    }
  }
  put_outcome(span, kind, info.response_code, info.failure, info.response_details,
              info.response_code != 0 ? grpc_status(info) : -1);
  span.finish();
  tracer_.send(encoded);
}

void HttpSpans::put_custom_tags(SpanEncoder& span, const http::Headers& headers) const {
  for (const CustomTag& tag : tracer_.options().custom_tags) {
    std::string_view value;
    if (!tag.header.empty()) {
      if (const http::Field* field = headers.find(tag.header)) value = field->value;
    }
    span.attribute(tag.name, value.empty() ? std::string_view(tag.value) : value);
  }
}

}  // namespace pillion::telemetry
