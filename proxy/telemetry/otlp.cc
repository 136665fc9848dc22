#include "proxy/telemetry/otlp.h"

#include <algorithm>
#include <bit>

#include "proxy/base/protobuf_wire.h"
#include "proxy/base/utf8.h"

namespace pillion::telemetry {
namespace {

using wire::Type;

constexpr size_t varint_size(uint64_t value) noexcept {
  return static_cast<size_t>((std::bit_width(value | 1) + 6) / 7);
}

// A field of bytes: tag, length, content.  All our field numbers are below 16.
constexpr size_t field_size(size_t content) noexcept { return 1 + varint_size(content) + content; }

// Every byte that is not part of well-formed UTF-8 becomes '?', so that the length stays.
void put_text(std::string& out, uint32_t field, std::string_view text) {
  wire::write_tag(out, field, Type::kBytes);
  wire::write_varint(out, text.size());
  while (!text.empty()) {
    const size_t n = utf8_length(text);
    if (n == 0) {
      out += '?';
    } else {
      out += text.substr(0, n);
    }
    text.remove_prefix(std::max<size_t>(n, 1));
  }
}

void put_uint(std::string& out, uint32_t field, uint64_t value) {
  wire::write_tag(out, field, Type::kVarint);
  wire::write_varint(out, value);
}

void put_fixed64(std::string& out, uint32_t field, int64_t value) {
  wire::write_tag(out, field, Type::kFixed64);
  for (int i = 0; i < 8; ++i) out += static_cast<char>(static_cast<uint64_t>(value) >> (8 * i));
}

// Ids are big-endian bytes.
void put_id(std::string& out, uint64_t id) {
  for (int i = 7; i >= 0; --i) out += static_cast<char>(id >> (8 * i));
}

// KeyValue { key = 1, value = 2: AnyValue { string_value = 1 } }
void put_attribute(std::string& out, uint32_t field, std::string_view key, std::string_view value) {
  const size_t any = field_size(value.size());
  wire::write_tag(out, field, Type::kBytes);
  wire::write_varint(out, field_size(key.size()) + field_size(any));
  put_text(out, 1, key);
  wire::write_tag(out, 2, Type::kBytes);
  wire::write_varint(out, any);
  put_text(out, 1, value);
}

// AnyValue { int_value = 3 }
void put_attribute(std::string& out, uint32_t field, std::string_view key, int64_t value) {
  const auto number = static_cast<uint64_t>(value);
  const size_t any = 1 + varint_size(number);
  wire::write_tag(out, field, Type::kBytes);
  wire::write_varint(out, field_size(key.size()) + field_size(any));
  put_text(out, 1, key);
  wire::write_tag(out, 2, Type::kBytes);
  wire::write_varint(out, any);
  put_uint(out, 3, number);
}

// Of a tracestate as many members as there is room for.
std::string_view whole_members(std::string_view list) {
  if (list.size() <= SpanEncoder::kMaxText) return list;
  const size_t comma = list.rfind(',', SpanEncoder::kMaxText);
  return list.substr(0, comma == std::string_view::npos ? 0 : comma);
}

}  // namespace

SpanEncoder::SpanEncoder(std::string& out, const SpanHead& head) : out_(out) {
  out_.clear();
  wire::write_tag(out_, 1, Type::kBytes);
  wire::write_varint(out_, 16);
  put_id(out_, head.trace.high);
  put_id(out_, head.trace.low);
  wire::write_tag(out_, 2, Type::kBytes);
  wire::write_varint(out_, 8);
  put_id(out_, head.id);
  if (!head.trace_state.empty()) put_text(out_, 3, whole_members(head.trace_state));
  if (head.parent != 0) {
    wire::write_tag(out_, 4, Type::kBytes);
    wire::write_varint(out_, 8);
    put_id(out_, head.parent);
  }
  put_text(out_, 5, head.name.substr(0, kMaxText));
  put_uint(out_, 6, static_cast<uint64_t>(head.kind));
  put_fixed64(out_, 7, head.begin_ns);
  put_fixed64(out_, 8, std::max(head.begin_ns, head.end_ns));
}

void SpanEncoder::attribute(std::string_view key, std::string_view value) {
  if (value.empty() || key.empty()) return;
  value = value.substr(0, kMaxText);
  if (out_.size() + key.size() + value.size() > kMaxSpan) {
    ++left_out_;
    return;
  }
  put_attribute(out_, 9, key, value);
}

void SpanEncoder::attribute(std::string_view key, int64_t value) {
  put_attribute(out_, 9, key, value);
}

// Event { time_unix_nano = 1, name = 2 }
void SpanEncoder::event(int64_t time_ns, std::string_view name) {
  wire::write_tag(out_, 11, Type::kBytes);
  wire::write_varint(out_, 9 + field_size(name.size()));
  put_fixed64(out_, 1, time_ns);
  put_text(out_, 2, name);
}

// Status { message = 2, code = 3: ERROR is 2 }
void SpanEncoder::error(std::string_view message) {
  message = message.substr(0, kMaxText);
  wire::write_tag(out_, 15, Type::kBytes);
  wire::write_varint(out_, 2 + (message.empty() ? 0 : field_size(message.size())));
  if (!message.empty()) put_text(out_, 2, message);
  put_uint(out_, 3, 2);
}

void SpanEncoder::finish() {
  if (left_out_ != 0) put_uint(out_, 10, left_out_);
}

std::string encode_resource(const ResourceText& text) {
  std::string out;
  const auto put = [&out](std::string_view key, std::string_view value) {
    if (!value.empty()) put_attribute(out, 1, key, value);
  };
  put("service.name", text.service_name);
  put("service.instance.id", text.instance_id);
  put("telemetry.sdk.language", "cpp");
  put("telemetry.sdk.name", "pillion");
  put("telemetry.sdk.version", PILLION_VERSION);
  return out;
}

void append_span(std::string& spans, std::string_view span) { wire::write_item(spans, 2, span); }

// { resource_spans = 1: { resource = 1, scope_spans = 2: { scope = 1: { name = 1 }, spans = 2 } } }
std::string write_request(std::string_view resource, std::string_view spans) {
  constexpr std::string_view kScope = "pillion";
  const size_t scope = field_size(kScope.size());
  const size_t scope_spans = field_size(scope) + spans.size();
  std::string out;
  out.reserve(spans.size() + resource.size() + 64);
  wire::write_tag(out, 1, Type::kBytes);
  wire::write_varint(out, field_size(resource.size()) + field_size(scope_spans));
  wire::write_item(out, 1, resource);
  wire::write_tag(out, 2, Type::kBytes);
  wire::write_varint(out, scope_spans);
  wire::write_tag(out, 1, Type::kBytes);
  wire::write_varint(out, scope);
  put_text(out, 1, kScope);
  out += spans;
  return out;
}

}  // namespace pillion::telemetry
