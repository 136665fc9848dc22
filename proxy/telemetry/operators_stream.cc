// Operators that look at the exchange: times, counts, names, flags; and at the process.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "proxy/base/response_flags.h"
#include "proxy/base/str.h"
#include "proxy/base/uuid.h"
#include "proxy/config/suggest.h"
#include "proxy/core/tracer.h"
#include "proxy/telemetry/operators.h"

namespace pillion::telemetry {
namespace {

using core::StreamInfo;
using core::StreamTimes;

// --- Times
// ----------------------------------------------------------------------------------------

Instant begin_of(const StreamInfo& info) {
  if (info.times.ds_rx_begin != Instant{}) return info.times.ds_rx_begin;
  return info.connection == nullptr ? Instant{} : info.connection->begin;
}

// When the stream began, for people.  Streams need not ask the wall clock: it is known how long ago
// it was.
WallTime wall_begin_of(const StreamInfo& info) {
  if (info.wall_begin != WallTime{}) return info.wall_begin;
  const Instant begin = begin_of(info);
  return begin == Instant{} ? wall_now() : wall_now() - (MonotonicClock::now() - begin);
}

Status<> compile_time(std::string_view arguments, Operation& op, bool is_local) {
  Result<TimeFormat> format = TimeFormat::compile(arguments, is_local);
  if (!format) return Error{format.error()};
  op.time = std::make_unique<const TimeFormat>(std::move(*format));
  return Ok{};
}
Status<> compile_local_time(std::string_view arguments, Operation& op) {
  return compile_time(arguments, op, true);
}
static_assert(Scratch::kBytes >= TimeFormat::kMaxText);

Value start_time(const Operation& op, const StreamInfo& info, Scratch& scratch) {
  return std::string_view(scratch.bytes, op.time->format(wall_begin_of(info), scratch.bytes));
}
Value emit_time(const Operation& op, const StreamInfo&, Scratch& scratch) {
  return std::string_view(scratch.bytes, op.time->format(wall_now(), scratch.bytes));
}

// None if one of the moments did not happen, or they are in the wrong order.
Value between(Instant from, Instant to, int64_t unit_ns = 1'000'000) {
  if (from == Instant{} || to == Instant{} || to < from) return {};
  return Value::number_of((to - from).count() / unit_ns);
}

template <Instant StreamTimes::* kUntil>
Value since_begin(const Operation&, const StreamInfo& info, Scratch&) {
  return between(begin_of(info), info.times.*kUntil);
}
Value response_tx(const Operation&, const StreamInfo& info, Scratch&) {
  return between(info.times.us_rx_begin, info.times.ds_tx_end);
}

struct TimePoint {
  std::string_view name;
  Instant StreamTimes::* member;  // null: of the connection
};
constexpr TimePoint kTimePoints[] = {
    {"DS_RX_BEG", &StreamTimes::ds_rx_begin}, {"DS_RX_END", &StreamTimes::ds_rx_end},
    {"US_CX_BEG", &StreamTimes::us_cx_begin}, {"US_CX_END", &StreamTimes::us_cx_end},
    {"US_HS_END", &StreamTimes::us_hs_end},   {"US_TX_BEG", &StreamTimes::us_tx_begin},
    {"US_TX_END", &StreamTimes::us_tx_end},   {"US_RX_BEG", &StreamTimes::us_rx_begin},
    {"US_RX_END", &StreamTimes::us_rx_end},   {"DS_TX_BEG", &StreamTimes::ds_tx_begin},
    {"DS_TX_END", &StreamTimes::ds_tx_end},   {"DS_CX_BEG", nullptr},
    {"DS_CX_END", &StreamTimes::end},
};
constexpr size_t kConnectionEnd = std::size(kTimePoints) - 1;

Instant moment(const StreamInfo& info, size_t point) {
  // A connection ends with its stream only when that stream is all of it.
  if (point == kConnectionEnd && info.request != nullptr) return {};
  if (kTimePoints[point].member != nullptr) return info.times.*kTimePoints[point].member;
  return info.connection == nullptr ? Instant{} : info.connection->begin;
}

Status<> find_point(std::string_view name, uint8_t& index) {
  std::vector<std::string_view> names;
  for (const TimePoint& point : kTimePoints) {
    if (point.name == name) {
      index = static_cast<uint8_t>(names.size());
      return Ok{};
    }
    names.push_back(point.name);
  }
  return Error{str("unknown point in time \"", config::printable(name), "\"",
                   config::did_you_mean(name, names))};
}

// START:END or START:END:UNIT; the unit's nanoseconds are `mode`.
Status<> compile_duration(std::string_view arguments, Operation& op) {
  const size_t first = arguments.find(':');
  if (first == std::string_view::npos) return Error{"expected START:END or START:END:UNIT"};
  const size_t second = std::min(arguments.find(':', first + 1), arguments.size());
  if (auto s = find_point(arguments.substr(0, first), op.from); !s) return s;
  if (auto s = find_point(arguments.substr(first + 1, second - first - 1), op.to); !s) return s;
  const std::string_view unit = second == arguments.size() ? "ms" : arguments.substr(second + 1);
  if (unit != "ms" && unit != "us" && unit != "ns")
    return Error{str("expected ms, us or ns, got \"", unit, "\"")};
  op.mode = unit == "ms" ? 1'000'000 : unit == "us" ? 1'000 : 1;
  return Ok{};
}

Value common_duration(const Operation& op, const StreamInfo& info, Scratch&) {
  return between(moment(info, op.from), moment(info, op.to), op.mode);
}

// --- Counts
// ---------------------------------------------------------------------------------------

template <auto kMember>
Value count(const Operation&, const StreamInfo& info, Scratch&) {
  return Value::number_of(static_cast<int64_t>(info.*kMember));
}
Value zero(const Operation&, const StreamInfo&, Scratch&) { return Value::number_of(0); }
Value response_code(const Operation&, const StreamInfo& info, Scratch&) {
  return Value::number_of(info.response_code);
}
Value attempts(const Operation&, const StreamInfo& info, Scratch&) {
  return Value::number_of(info.upstream.attempts);
}

// --- Names and texts
// ------------------------------------------------------------------------------

template <std::string_view StreamInfo::* kMember>
Value text(const Operation&, const StreamInfo& info, Scratch&) {
  return Value::text_or_none(info.*kMember);
}
Value cluster(const Operation&, const StreamInfo& info, Scratch&) {
  return Value::text_or_none(info.upstream.cluster);
}

Value protocol(const Operation&, const StreamInfo& info, Scratch&) {
  return info.request == nullptr ? Value() : Value(http::protocol_name(info.request->protocol));
}
// The head of a response that came from an upstream still has the protocol it came by.
Value upstream_protocol(const Operation&, const StreamInfo& info, Scratch&) {
  if (info.response == nullptr || info.times.us_rx_begin == Instant{}) return {};
  return http::protocol_name(info.response->protocol);
}

Status<> compile_details(std::string_view arguments, Operation& op) {
  if (!arguments.empty() && arguments != "ALLOW_WHITESPACES") {
    return Error{str("expected ALLOW_WHITESPACES, got \"", arguments, "\"")};
  }
  op.mode = arguments.empty() ? 0 : 1;
  return Ok{};
}
Value details(const Operation& op, const StreamInfo& info, Scratch& scratch) {
  const std::string_view words = info.response_details;
  if (op.mode == 1 || words.find(' ') == std::string_view::npos) return Value::text_or_none(words);
  const size_t size = std::min(words.size(), Scratch::kBytes);
  std::replace_copy(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(size), scratch.bytes,
                    ' ', '_');
  return std::string_view(scratch.bytes, size);
}

Value local_reply_body(const Operation&, const StreamInfo& info, Scratch&) {
  return info.local_reply_body;
}

template <std::string_view core::StreamTrace::* kText>
Value trace_text(const Operation&, const StreamInfo& info, Scratch&) {
  return info.trace == nullptr ? Value() : Value::text_or_none(info.trace->*kText);
}

Value log_type(const Operation&, const StreamInfo& info, Scratch&) {
  return info.request == nullptr ? "TcpConnectionEnd" : "DownstreamEnd";
}

// Flags that did not end the stream first, then the one that did (Envoy: URX,UF).
template <std::string_view ResponseFlagRow::* kName>
Value flags(const Operation&, const StreamInfo& info, Scratch& scratch) {
  uint32_t bits = info.flags;
  const uint32_t last = flag_bit(info.failure);
  if ((bits | last) == 0) return "-";  // Envoy's text for none, in JSON too
  if (bits == 0) return kResponseFlags[static_cast<size_t>(__builtin_ctz(last))].*kName;
  bits &= ~last;
  size_t size = 0;
  const auto put = [&](uint32_t bit) {
    const std::string_view name = kResponseFlags[static_cast<size_t>(__builtin_ctz(bit))].*kName;
    if (size != 0) scratch.bytes[size++] = ',';
    size += name.copy(scratch.bytes + size, Scratch::kBytes - size - 1);
  };
  for (; bits != 0; bits &= bits - 1) put(bits & (~bits + 1));
  if (last != 0) put(last);
  return std::string_view(scratch.bytes, size);
}

// --- The process
// ----------------------------------------------------------------------------------

Value compiled_text(const Operation& op, const StreamInfo&, Scratch&) {
  return Value::text_or_none(op.text);
}

Status<> compile_hostname(std::string_view, Operation& op) {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) == 0) op.text = name;
  return Ok{};
}
Status<> compile_environment(std::string_view arguments, Operation& op) {
  const char* value = std::getenv(std::string(arguments).c_str());
  op.text = value == nullptr ? "" : value;
  return Ok{};
}

Value unique_id(const Operation&, const StreamInfo&, Scratch& scratch) {
  static thread_local Rng rng(static_cast<uint64_t>(wall_now().time_since_epoch().count()) ^
                              (static_cast<uint64_t>(::gettid()) << 32));
  write_uuid(scratch.bytes, rng);
  return std::string_view(scratch.bytes, kUuidBytes);
}

// "KEY" or "KEY:PLAIN"; our filters leave texts, of which the typed form is no other one.
Status<> compile_filter_state(std::string_view arguments, Operation& op) {
  op.text = arguments.substr(0, arguments.find(':'));
  return Ok{};
}
Value filter_state(const Operation& op, const StreamInfo& info, Scratch&) {
  for (const core::FilterState* s = info.filter_state; s != nullptr; s = s->next) {
    if (s->key == op.text) return Value::text_or_none(s->value);
  }
  return {};
}

// "namespace:key:key"
Status<> compile_metadata(std::string_view arguments, Operation& op) {
  const size_t end = arguments.find(':');
  op.text = arguments.substr(0, end);
  if (op.text.empty()) return Error{"expected namespace:key"};
  while (arguments.find(':') != std::string_view::npos) {
    arguments.remove_prefix(arguments.find(':') + 1);
    op.path.emplace_back(arguments.substr(0, arguments.find(':')));
  }
  return Ok{};
}
Value dynamic_metadata(const Operation& op, const StreamInfo& info, Scratch& scratch) {
  const core::MetadataValue* value = info.metadata.find(op.text, op.path);
  if (value == nullptr) return {};
  if (value->kind == core::MetadataValue::Kind::kString) return Value::text_or_none(value->text);
  std::string text;
  core::append_text(text, *value);
  const size_t size = std::min(text.size(), sizeof scratch.bytes);
  std::memcpy(scratch.bytes, text.data(), size);
  const std::string_view copy(scratch.bytes, size);
  return size == text.size() ? Value::json_of(copy) : Value(copy);  // what is cut is no JSON
}

constexpr OperatorRow kRows[] = {
    {"START_TIME", start_time, Arguments::kOptional, compile_utc_time},
    {"START_TIME_LOCAL", start_time, Arguments::kOptional, compile_local_time},
    {"EMIT_TIME", emit_time, Arguments::kOptional, compile_utc_time},
    {"EMIT_TIME_LOCAL", emit_time, Arguments::kOptional, compile_local_time},
    {"DURATION", since_begin<&StreamTimes::end>},
    {"REQUEST_DURATION", since_begin<&StreamTimes::ds_rx_end>},
    {"REQUEST_TX_DURATION", since_begin<&StreamTimes::us_tx_end>},
    {"RESPONSE_DURATION", since_begin<&StreamTimes::us_rx_begin>},
    {"RESPONSE_TX_DURATION", response_tx},
    {"UPSTREAM_CONNECTION_POOL_READY_DURATION", since_begin<&StreamTimes::us_ready>},
    {"COMMON_DURATION", common_duration, Arguments::kRequired, compile_duration},
    {"BYTES_RECEIVED", count<&StreamInfo::bytes_received>},
    {"BYTES_SENT", count<&StreamInfo::bytes_sent>},
    {"BYTES_RETRANSMITTED", zero},    // of QUIC
    {"PACKETS_RETRANSMITTED", zero},  // of QUIC
    {"REQUEST_HEADERS_BYTES", count<&StreamInfo::request_header_bytes>},
    {"RESPONSE_HEADERS_BYTES", count<&StreamInfo::response_header_bytes>},
    {"RESPONSE_TRAILERS_BYTES", count<&StreamInfo::response_trailer_bytes>},
    {"DOWNSTREAM_HEADER_BYTES_RECEIVED", count<&StreamInfo::request_header_bytes>},
    {"DOWNSTREAM_HEADER_BYTES_SENT", count<&StreamInfo::response_header_bytes>},
    {"DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", count<&StreamInfo::request_header_bytes>},
    {"DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", count<&StreamInfo::response_header_bytes>},
    {"DOWNSTREAM_WIRE_BYTES_RECEIVED", count<&StreamInfo::downstream_wire_received>},
    {"DOWNSTREAM_WIRE_BYTES_SENT", count<&StreamInfo::downstream_wire_sent>},
    {"UPSTREAM_WIRE_BYTES_RECEIVED", count<&StreamInfo::upstream_wire_received>},
    {"UPSTREAM_WIRE_BYTES_SENT", count<&StreamInfo::upstream_wire_sent>},
    {"RESPONSE_CODE", response_code},
    {"RESPONSE_CODE_DETAILS", details, Arguments::kOptional, compile_details},
    {"CONNECTION_TERMINATION_DETAILS", text<&StreamInfo::termination_details>},
    {"RESPONSE_FLAGS", flags<&ResponseFlagRow::name>},
    {"RESPONSE_FLAGS_LONG", flags<&ResponseFlagRow::long_name>},
    {"UPSTREAM_REQUEST_ATTEMPT_COUNT", attempts},
    {"PROTOCOL", protocol},
    {"UPSTREAM_PROTOCOL", upstream_protocol},
    {"ROUTE_NAME", text<&StreamInfo::route_name>},
    {"UPSTREAM_CLUSTER", cluster},
    {"UPSTREAM_CLUSTER_RAW", cluster},
    {"STREAM_ID", text<&StreamInfo::stream_id>},
    {"UNIQUE_ID", unique_id},
    {"TRACE_ID", trace_text<&core::StreamTrace::trace_id>},
    {"SPAN_ID", trace_text<&core::StreamTrace::span_id>},
    {"LOCAL_REPLY_BODY", local_reply_body},
    {"ACCESS_LOG_TYPE", log_type},
    {"HOSTNAME", compiled_text, Arguments::kNone, compile_hostname},
    {"ENVIRONMENT", compiled_text, Arguments::kRequired, compile_environment},
    {"FILTER_STATE", filter_state, Arguments::kRequired, compile_filter_state},
    {"DYNAMIC_METADATA", dynamic_metadata, Arguments::kRequired, compile_metadata},
};

}  // namespace

Status<> compile_utc_time(std::string_view arguments, Operation& op) {
  return compile_time(arguments, op, false);
}

std::span<const OperatorRow> stream_operators() { return kRows; }

}  // namespace pillion::telemetry
