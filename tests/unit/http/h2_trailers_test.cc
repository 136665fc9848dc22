#include "proxy/http/h2_trailers.h"

#include <gtest/gtest.h>

#include <string>

namespace pillion::http {
namespace {

std::string content(const Buffer& buffer) {
  std::string text(buffer.size(), '\0');
  buffer.peek(text.data(), text.size());
  return text;
}

TEST(H2Trailers, AreReadAsTheyWereWritten) {
  Arena arena;
  Headers trailers(arena);
  const std::string long_value(3 * Slab::kBytes, 'v');
  trailers.add("grpc-status", "0");
  trailers.add("x-empty", "");
  trailers.add("x-long", long_value);
  Buffer buffer;
  buffer.append("body");
  const uint32_t size = append_trailers(buffer, trailers);
  EXPECT_EQ(buffer.size(), 4 + size);
  buffer.consume(4);
  const std::string text = content(buffer);
  TrailerText reader(text);
  Field field;
  ASSERT_TRUE(reader.next(field));
  EXPECT_EQ(field.name, "grpc-status");
  EXPECT_EQ(field.value, "0");
  EXPECT_EQ(field.id, find_header_id("grpc-status"));
  ASSERT_TRUE(reader.next(field));
  EXPECT_EQ(field.name, "x-empty");
  EXPECT_EQ(field.value, "");
  ASSERT_TRUE(reader.next(field));
  EXPECT_EQ(field.name, "x-long");
  EXPECT_EQ(field.value, long_value);
  EXPECT_FALSE(reader.next(field));
}

TEST(H2Trailers, LeaveOutWhatWasRemoved) {
  Arena arena;
  Headers trailers(arena);
  trailers.add("x-a", "1");
  trailers.add("x-b", "2");
  trailers.remove("x-a");
  Buffer buffer;
  append_trailers(buffer, trailers);
  const std::string text = content(buffer);
  TrailerText reader(text);
  Field field;
  ASSERT_TRUE(reader.next(field));
  EXPECT_EQ(field.name, "x-b");
  EXPECT_FALSE(reader.next(field));
}

}  // namespace
}  // namespace pillion::http
