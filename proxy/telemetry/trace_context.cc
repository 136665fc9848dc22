#include "proxy/telemetry/trace_context.h"

#include <algorithm>
#include <cstring>

#include "proxy/base/ascii.h"
#include "proxy/base/hex.h"

namespace pillion::telemetry {
namespace {

using http::HeaderId;
using http::Headers;

constexpr size_t kTraceparentText = 55;  // 00-<32>-<16>-<2>
constexpr int kMaxMembers = 32;

// Up to 16 digits; both specifications want lower case.
bool parse_hex(std::string_view text, uint64_t& out) noexcept {
  uint64_t value = 0;
  for (const char c : text) {
    const bool is_lower = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    if (!is_lower) return false;
    value = value << 4 | static_cast<uint64_t>(hex_digit(c));
  }
  out = value;
  return true;
}

bool parse_trace_id(std::string_view text, TraceId& out) noexcept {
  TraceId id;
  if (text.size() == kTraceIdText) {
    if (!parse_hex(text.substr(0, 16), id.high) || !parse_hex(text.substr(16), id.low))
      return false;
  } else if (text.size() != 16 || !parse_hex(text, id.low)) {
    return false;
  }
  if (!id.is_valid()) return false;
  out = id;
  return true;
}

bool parse_span_id(std::string_view text, uint64_t& out) noexcept {
  uint64_t id = 0;
  if (text.size() != kSpanIdText || !parse_hex(text, id) || id == 0) return false;
  out = id;
  return true;
}

// "1", "0", "d" (debug), and for x-b3-sampled the older "true" and "false".
bool parse_b3_sampled(std::string_view text, TraceContext& out) noexcept {
  out.debug = text == "d";
  if (text == "1" || text == "true" || out.debug) {
    out.sampled = Sampled::kYes;
  } else if (text == "0" || text == "false") {
    out.sampled = Sampled::kNo;
  } else {
    return false;
  }
  return true;
}

// Those that say something of a trace; found in one pass, for each request is asked.
struct Found {
  explicit Found(const Headers& headers) noexcept {
    for (const http::Field& f : headers) {
      switch (f.id) {
        case HeaderId::kTraceparent:
          is_repeated = traceparent != nullptr;
          traceparent = &f;
          break;
        case HeaderId::kB3:
          first(b3, f);
          break;
        case HeaderId::kXB3TraceId:
          first(trace, f);
          break;
        case HeaderId::kXB3SpanId:
          first(span, f);
          break;
        case HeaderId::kXB3Sampled:
          first(sampled, f);
          break;
        case HeaderId::kXB3Flags:
          first(flags, f);
          break;
        default:
          break;
      }
    }
  }
  static void first(const http::Field*& to, const http::Field& f) noexcept {
    if (to == nullptr) to = &f;
  }
  const http::Field* traceparent = nullptr;
  const http::Field* b3 = nullptr;
  const http::Field* trace = nullptr;
  const http::Field* span = nullptr;
  const http::Field* sampled = nullptr;
  const http::Field* flags = nullptr;
  bool is_repeated = false;  // more than one traceparent
};

bool read_b3_fields(const Found& found, TraceContext& out) noexcept {
  TraceContext context;
  context.form = TraceForm::kB3Multi;
  if (found.flags != nullptr && found.flags->value == "1") {
    context.sampled = Sampled::kYes;
    context.debug = true;
  } else if (found.sampled != nullptr && !parse_b3_sampled(found.sampled->value, context)) {
    return false;
  }
  if (found.trace == nullptr && found.span == nullptr) {
    if (context.sampled == Sampled::kUnsaid) return false;
    out = context;
    return true;
  }
  if (found.trace == nullptr || found.span == nullptr ||
      !parse_trace_id(found.trace->value, context.trace) ||
      !parse_span_id(found.span->value, context.span)) {
    return false;
  }
  out = context;
  return true;
}

constexpr bool is_key_char(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '*' ||
         c == '/' || c == '@';
}

bool is_valid_member(std::string_view member) noexcept {
  const size_t equals = member.find('=');
  if (equals == std::string_view::npos || equals == 0 || equals > 256) return false;
  const std::string_view key = member.substr(0, equals);
  const std::string_view value = member.substr(equals + 1);
  const bool begins_well = (key[0] >= 'a' && key[0] <= 'z') || (key[0] >= '0' && key[0] <= '9');
  if (!begins_well || !std::ranges::all_of(key, is_key_char)) return false;
  return !value.empty() && value.size() <= 256 && std::ranges::all_of(value, [](char c) {
    return c >= ' ' && c <= '~' && c != '=' && c != ',';
  });
}

// One text in the arena from fixed pieces.
class Text {
 public:
  Text(Arena& arena, size_t size) : data_(arena.allocate_array<char>(size)) {}
  Text& put(std::string_view text) noexcept {
    std::memcpy(data_ + size_, text.data(), text.size());
    size_ += text.size();
    return *this;
  }
  Text& put(const TraceId& id) noexcept {
    write_trace_id(data_ + size_, id);
    size_ += kTraceIdText;
    return *this;
  }
  // As B3 wants it: an id of 64 bits stays one.
  Text& put_b3(const TraceId& id) noexcept { return id.high == 0 ? put(id.low) : put(id); }
  Text& put(uint64_t span) noexcept {
    write_hex64(data_ + size_, span);
    size_ += kSpanIdText;
    return *this;
  }
  [[nodiscard]] std::string_view view() const noexcept { return {data_, size_}; }

 private:
  char* data_;
  size_t size_ = 0;
};

void write_b3(Headers& headers, const TraceFields& fields) {
  Text b3(headers.arena(), kTraceIdText + 2 * kSpanIdText + 4);
  b3.put_b3(fields.trace).put("-").put(fields.span);
  b3.put(!fields.sampled ? "-0" : fields.debug ? "-d" : "-1");
  if (fields.parent != 0) b3.put("-").put(fields.parent);
  headers.set(HeaderId::kB3, b3.view());
}

void write_b3_fields(Headers& headers, const TraceFields& fields) {
  Arena& arena = headers.arena();
  headers.set(HeaderId::kXB3TraceId, Text(arena, kTraceIdText).put_b3(fields.trace).view());
  headers.set(HeaderId::kXB3SpanId, Text(arena, kSpanIdText).put(fields.span).view());
  headers.remove(HeaderId::kXB3ParentSpanId);
  if (fields.parent != 0)
    headers.add(HeaderId::kXB3ParentSpanId, Text(arena, kSpanIdText).put(fields.parent).view());
  // Debug implies sampled, and stands in its place.
  const bool is_debug = fields.debug && fields.sampled;
  headers.remove(is_debug ? HeaderId::kXB3Sampled : HeaderId::kXB3Flags);
  if (is_debug) {
    headers.set(HeaderId::kXB3Flags, "1");
  } else {
    headers.set(HeaderId::kXB3Sampled, fields.sampled ? "1" : "0");
  }
}

}  // namespace

bool parse_traceparent(std::string_view text, TraceContext& out) noexcept {
  if (text.size() < kTraceparentText || text[2] != '-' || text[35] != '-' || text[52] != '-')
    return false;
  uint64_t version = 0;
  uint64_t flags = 0;
  if (!parse_hex(text.substr(0, 2), version) || version == 0xff) return false;
  // A later version may have more behind another '-'.
  if (text.size() > kTraceparentText && (version == 0 || text[kTraceparentText] != '-'))
    return false;
  TraceContext context;
  context.form = TraceForm::kW3c;
  if (!parse_trace_id(text.substr(3, 32), context.trace) ||
      !parse_span_id(text.substr(36, 16), context.span) || !parse_hex(text.substr(53, 2), flags)) {
    return false;
  }
  context.sampled = (flags & 1) != 0 ? Sampled::kYes : Sampled::kNo;
  context.random = (flags & 2) != 0;
  out = context;
  return true;
}

bool parse_b3(std::string_view text, TraceContext& out) noexcept {
  TraceContext context;
  context.form = TraceForm::kB3Single;
  if (text.size() == 1) {
    if (!parse_b3_sampled(text, context)) return false;
    out = context;
    return true;
  }
  const size_t dash = std::min(text.find('-'), text.size());
  if (!parse_trace_id(text.substr(0, dash), context.trace)) return false;
  text.remove_prefix(std::min(dash + 1, text.size()));
  if (!parse_span_id(text.substr(0, kSpanIdText), context.span)) return false;
  text.remove_prefix(kSpanIdText);
  // -<sampled>[-<parent of the caller's span>]
  if (!text.empty()) {
    if (text.size() < 2 || text[0] != '-' || !parse_b3_sampled(text.substr(1, 1), context))
      return false;
    text.remove_prefix(2);
  }
  uint64_t grandparent = 0;
  const bool has_grandparent =
      text.size() == 1 + kSpanIdText && text[0] == '-' && parse_hex(text.substr(1), grandparent);
  if (!text.empty() && !has_grandparent) return false;
  out = context;
  return true;
}

bool is_valid_tracestate(std::string_view text) noexcept {
  int members = 0;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view member = trim(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (member.empty()) continue;  // allowed, and no member
    if (++members > kMaxMembers || !is_valid_member(member)) return false;
  }
  return true;
}

TraceContext read_trace_context(const Headers& headers) noexcept {
  const Found found(headers);
  TraceContext context;
  if (found.traceparent != nullptr) {
    if (found.is_repeated || !parse_traceparent(found.traceparent->value, context))
      context.malformed = true;
    return context;
  }
  if (found.b3 != nullptr && parse_b3(found.b3->value, context)) return context;
  (void)read_b3_fields(found, context);
  return context;
}

TraceId make_trace_id(Rng& rng) noexcept {
  TraceId id;
  // 64-bit systems look at one half alone.
  do id = {rng.next(), rng.next()};
  while (id.high == 0 || id.low == 0);
  return id;
}

uint64_t make_span_id(Rng& rng) noexcept {
  uint64_t id = 0;
  do id = rng.next();
  while (id == 0);
  return id;
}

void write_trace_id(char* out, const TraceId& id) noexcept {
  write_hex64(out, id.high);
  write_hex64(out + kHex64Text, id.low);
}

void write_trace_context(Headers& headers, const TraceFields& fields) {
  const char flags[] = {'-', '0', kHexDigits[(fields.sampled ? 1 : 0) | (fields.random ? 2 : 0)]};
  const Found found(headers);
  Text traceparent(headers.arena(), kTraceparentText);
  traceparent.put("00-").put(fields.trace).put("-").put(fields.span);
  headers.set(HeaderId::kTraceparent, traceparent.put({flags, sizeof flags}).view());
  if (found.b3 != nullptr) write_b3(headers, fields);
  if (found.trace != nullptr || found.sampled != nullptr || found.flags != nullptr)
    write_b3_fields(headers, fields);
}

}  // namespace pillion::telemetry
