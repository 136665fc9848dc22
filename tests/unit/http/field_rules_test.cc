// The rules that both protocols share, alone; that both obey them: fuzz_h2_differential.
#include "proxy/http/field_rules.h"

#include <gtest/gtest.h>

#include <initializer_list>

namespace pillion::http {
namespace {

TEST(FieldRules, OnlyThreeDigitsWithinBoundsAreAStatus) {
  EXPECT_EQ(parse_status("100"), 100);
  EXPECT_EQ(parse_status("599"), 599);
  for (const char* text : {"", "2", "20", "2000", "099", "600", "000", "999", "2 0", "+20", "2x0"})
    EXPECT_EQ(parse_status(text), 0) << text;
}

TEST(FieldRules, ALengthIsDigitsAndSaidOnce) {
  for (const char* text : {"", "+5", "-5", "5 ", " 5", "5,5", "5, 5", "0x5", "5.0",
                           "9999999999999999999", "18446744073709551616"}) {
    MessageFacts facts;
    EXPECT_EQ(take_length(text, facts), FailureKind::kBadContentLength) << text;
    EXPECT_FALSE(facts.has_length);
  }
  MessageFacts facts;
  EXPECT_EQ(take_length("007", facts), FailureKind::kNone);
  EXPECT_EQ(facts.content_length, 7u);
  EXPECT_EQ(take_length("7", facts), FailureKind::kBadContentLength);
}

TEST(FieldRules, AHostIsSaidOnceAndMayBeEmpty) {
  MessageFacts facts;
  EXPECT_EQ(take_host("", facts), FailureKind::kNone);
  EXPECT_EQ(take_host("", facts), FailureKind::kBadHost);
  for (const char* text : {"a b", "u@a", "a/b", "a:x", "[::1", "a\r\nb"}) {
    MessageFacts other;
    EXPECT_EQ(take_host(text, other), FailureKind::kBadHost) << text;
  }
}

TEST(FieldRules, ConnectNamesAPortAndHasNoBody) {
  const MessageFacts none;
  for (const char* text : {"a:1", "[::1]:443", "a.b:65535"})
    EXPECT_EQ(judge_connect(text, none), FailureKind::kNone) << text;
  for (const char* text :
       {"", "a", "a:", "[::1]", "[::1]:", ":1", "a:x", "a:65536", "/a:1", "u@a:1"})
    EXPECT_EQ(judge_connect(text, none), FailureKind::kBadUrl) << text;
  EXPECT_EQ(judge_connect("a:1", {.content_length = 0, .has_length = true}), FailureKind::kNone);
  EXPECT_EQ(judge_connect("a:1", {.content_length = 5, .has_length = true}),
            FailureKind::kBadContentLength);
}

TEST(FieldRules, OfTeOnlyTrailersGoOn) {
  struct Row {
    const char* value;
    bool is_alone;
    bool trailers;
  };
  const Row rows[] = {{"trailers", true, true},
                      {"Trailers", true, true},
                      {"", true, false},
                      {"gzip", false, false},
                      {"gzip;q=1, trailers", false, true},
                      {"trailers;q=1", false, false}};
  for (const Row& row : rows) {
    Arena arena;
    RequestHead head(arena);
    EXPECT_EQ(take_te(row.value, head), row.is_alone) << row.value;
    EXPECT_EQ(head.te_trailers, row.trailers) << row.value;
  }
}

TEST(FieldRules, WhatCanHaveNoBodyMaySayNoLength) {
  for (const uint16_t status : std::initializer_list<uint16_t>{100, 103, 199, 204}) {
    Arena arena;
    ResponseHead head(arena);
    head.status = status;
    EXPECT_FALSE(settle_length({.content_length = 5, .has_length = true}, head)) << status;
    EXPECT_TRUE(settle_length({.content_length = 0, .has_length = true}, head)) << status;
    EXPECT_FALSE(head.has_content_length);
  }
  for (const uint16_t status : std::initializer_list<uint16_t>{200, 205, 304, 599}) {
    Arena arena;
    ResponseHead head(arena);
    head.status = status;
    EXPECT_TRUE(settle_length({.content_length = 5, .has_length = true}, head)) << status;
    EXPECT_TRUE(head.has_content_length && head.content_length == 5);
  }
}

TEST(FieldRules, ATargetIsAPathOrTheAsteriskOfOptions) {
  EXPECT_TRUE(is_plain_target(Method::kGet, "/"));
  EXPECT_TRUE(is_plain_target(Method::kOptions, "*"));
  EXPECT_FALSE(is_plain_target(Method::kGet, "*"));
  EXPECT_FALSE(is_plain_target(Method::kOptions, "**"));
  EXPECT_FALSE(is_plain_target(Method::kGet, "http://a/"));
  EXPECT_TRUE(is_target_text("/a?b=%20~"));
  for (const char* text : {"", "/a b", "/\t", "/\x7f", "/\xc3\xa9", "/\r\n"})
    EXPECT_FALSE(is_target_text(text)) << text;
}

}  // namespace
}  // namespace pillion::http
