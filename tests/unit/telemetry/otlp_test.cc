// The protobuf that we write by hand.  What it means to a real decoder is asked in
// tests/e2e/tracing_test.py; here it is taken apart field by field.
#include "proxy/telemetry/otlp.h"

#include <gtest/gtest.h>

#include <optional>
#include <utility>
#include <vector>

namespace pillion::telemetry {
namespace {

// Fields of a message in their order: number and content (numbers as decimal text).  None if the
// bytes are no message.
using Fields = std::vector<std::pair<uint32_t, std::string>>;
std::optional<Fields> fields_of(std::string_view bytes) {
  Fields out;
  const auto varint = [&bytes]() -> std::optional<uint64_t> {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes[0]);
      bytes.remove_prefix(1);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  };
  while (!bytes.empty()) {
    const auto tag = varint();
    if (!tag) return std::nullopt;
    const auto number = static_cast<uint32_t>(*tag >> 3);
    if ((*tag & 7) == 0) {
      const auto value = varint();
      if (!value) return std::nullopt;
      out.emplace_back(number, std::to_string(*value));
      continue;
    }
    uint64_t size = 8;
    if ((*tag & 7) == 2) {
      const auto length = varint();
      if (!length) return std::nullopt;
      size = *length;
    } else if ((*tag & 7) != 1) {
      return std::nullopt;
    }
    if (bytes.size() < size) return std::nullopt;
    out.emplace_back(number, bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
  return out;
}

std::string field(std::string_view bytes, uint32_t number) {
  const auto fields = fields_of(bytes);
  EXPECT_TRUE(fields);
  if (!fields) return "no message";
  for (const auto& [n, content] : *fields) {
    if (n == number) return content;
  }
  return "absent";
}

constexpr SpanHead kHead{{0x4bf92f3577b34da6, 0xa3ce929d0e0e4736},
                         0x00f067aa0ba902b7,
                         7,
                         "a=1",
                         "GET users",
                         SpanKind::kClient,
                         1000,
                         2000};

TEST(Otlp, WritesTheHeadOfASpan) {
  std::string span;
  SpanEncoder(span, kHead).finish();
  EXPECT_EQ(field(span, 1), "\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36");
  EXPECT_EQ(field(span, 2), std::string("\0\xf0\x67\xaa\x0b\xa9\x02\xb7", 8));
  EXPECT_EQ(field(span, 3), "a=1");
  EXPECT_EQ(field(span, 4), std::string("\0\0\0\0\0\0\0\7", 8));
  EXPECT_EQ(field(span, 5), "GET users");
  EXPECT_EQ(field(span, 6), "3");
  EXPECT_EQ(field(span, 7), std::string("\xe8\3\0\0\0\0\0\0", 8)) << "little-endian";
  EXPECT_EQ(field(span, 15), "absent") << "unset";
}

TEST(Otlp, ARootHasNoParent) {
  SpanHead head = kHead;
  head.parent = 0;
  std::string span;
  SpanEncoder(span, head).finish();
  EXPECT_EQ(field(span, 4), "absent");
}

TEST(Otlp, WritesAttributesEventsAndTheStatus) {
  std::string span;
  SpanEncoder encoder(span, kHead);
  encoder.attribute("text", "value");
  encoder.attribute("empty", "");
  encoder.attribute("number", 300);
  encoder.event(3, "step");
  encoder.error("why");
  encoder.finish();
  const auto fields = fields_of(span);
  ASSERT_TRUE(fields);
  std::vector<std::string> attributes;
  for (const auto& [number, content] : *fields) {
    if (number == 9) attributes.push_back(content);
  }
  ASSERT_EQ(attributes.size(), 2u);
  EXPECT_EQ(field(attributes[0], 1), "text");
  EXPECT_EQ(field(field(attributes[0], 2), 1), "value");
  EXPECT_EQ(field(field(attributes[1], 2), 3), "300");
  EXPECT_EQ(field(field(span, 11), 2), "step");
  EXPECT_EQ(field(field(span, 15), 2), "why");
  EXPECT_EQ(field(field(span, 15), 3), "2");
}

TEST(Otlp, TextIsAlwaysUtf8) {
  std::string span;
  SpanEncoder encoder(span, kHead);
  encoder.attribute("a", "\xc3\xa4|\xff|\xc3");
  encoder.finish();
  EXPECT_EQ(field(field(field(span, 9), 2), 1), "\xc3\xa4|?|?");
}

TEST(Otlp, ASpanHasABound) {
  // A peer that sends long fields costs no more than this.
  std::string span;
  SpanEncoder encoder(span, kHead);
  const std::string large(100'000, 'x');
  for (int i = 0; i < 100; ++i) encoder.attribute("k", large);
  encoder.error(large);
  encoder.finish();
  EXPECT_LT(span.size(), SpanEncoder::kMaxSpan + 2 * SpanEncoder::kMaxText);
  EXPECT_EQ(field(field(field(span, 9), 2), 1).size(), SpanEncoder::kMaxText);
  EXPECT_GT(std::stoi(field(span, 10)), 80) << "it says how many attributes are missing";
}

TEST(Otlp, ARequestHasAllSpansBehindTheirResource) {
  const std::string resource = encode_resource({"users", "node"});
  std::string spans;
  append_span(spans, "one");
  append_span(spans, std::string(200, 'x'));
  const std::string group = field(write_request(resource, spans), 1);
  EXPECT_EQ(field(group, 1), resource);
  EXPECT_EQ(field(field(resource, 1), 1), "service.name");
  EXPECT_EQ(field(field(field(resource, 1), 2), 1), "users");
  const auto scope = fields_of(field(group, 2));
  ASSERT_TRUE(scope);
  ASSERT_EQ(scope->size(), 3u);
  EXPECT_EQ((*scope)[0].first, 1u);
  EXPECT_EQ((*scope)[1], std::make_pair(2u, std::string("one")));
  EXPECT_EQ((*scope)[2].second.size(), 200u);
}

}  // namespace
}  // namespace pillion::telemetry
