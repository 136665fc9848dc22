#include "proxy/base/base64.h"
#include "proxy/http/grpc_messages.h"
#include "tests/unit/filters/filter_fixture.h"

namespace pillion::filters {
namespace {

constexpr std::string_view kWeb = "application/grpc-web+proto";
constexpr std::string_view kText = "application/grpc-web-text";

std::string base64(std::string_view bytes) {
  std::string out(base64_size(bytes.size()), '?');
  write_base64(out.data(), bytes);
  return out;
}
// Of texts that may be padded in the middle.
std::string unbase64(std::string_view text) {
  std::string out(Base64Reader::max_size(text.size()), '?');
  Base64Reader reader;
  out.resize(reader.read(text, out.data()).value_or(0));
  return out;
}
std::string frame(uint8_t flags, std::string_view content) {
  std::string out(http::kGrpcPrefix, '\0');
  http::write_grpc_prefix(out.data(), flags, static_cast<uint32_t>(content.size()));
  return out.append(content);
}

class GrpcWeb : public FilterTest {
 protected:
  GrpcWeb() : FilterTest("envoy.extensions.filters.http.grpc_web.v3.GrpcWeb") { configure("{}"); }
  Exchange& call(std::string_view type, std::string_view accept = {}) {
    Fields fields = {{"content-type", std::string(type)}};
    if (!accept.empty()) fields.emplace_back("accept", accept);
    Exchange& e = exchange(fields, false);
    return e;
  }
  static void answer(Exchange& e, std::string_view type = "application/grpc",
                     uint16_t status = 200) {
    e.response.status = status;
    e.response.headers.set("content-type", type);
    e.response.framing = http::Framing::kLength;
    e.response.has_content_length = true;
    e.response.content_length = 99;
    e.respond_head();
  }
  static void trailers(Exchange& e) {
    e.response_trailers.add("grpc-status", "5");
    e.response_trailers.add("grpc-message", "no such");
    e.respond_trailers();
  }
};

constexpr std::string_view kTrailers = "grpc-status:5\r\ngrpc-message:no such\r\n";

TEST_F(GrpcWeb, ARequestGoesOnAsOneOfGrpc) {
  for (const std::string_view type :
       {"application/grpc-web", "application/grpc-web+proto", "application/grpc-web-text",
        "application/grpc-web-text+proto"}) {
    Exchange& e = call(type);
    EXPECT_TRUE(e.passed);
    EXPECT_EQ(e.header("content-type"), "application/grpc");
    EXPECT_EQ(e.header("grpc-accept-encoding"), "identity");
    EXPECT_TRUE(e.head.te_trailers);
    EXPECT_EQ(e.head.framing, http::Framing::kChunked);
  }
}

TEST_F(GrpcWeb, OthersPassAsTheyAre) {
  for (const std::string_view type : {"application/grpc", "application/grpc-web+json",
                                      "application/json", "application/grpc-w"}) {
    Exchange& e = call(type, kText);
    EXPECT_EQ(e.header("content-type"), type);
    e.send("not base64!", true);
    EXPECT_EQ(e.body, "not base64!");
    answer(e, "text/plain", 503);
    EXPECT_TRUE(e.response_began);
    e.respond_body("busy");
    trailers(e);
    EXPECT_EQ(e.response_body, "busy");
    EXPECT_TRUE(e.trailers_passed);
    EXPECT_EQ(e.response_header("content-type"), "text/plain");
  }
}

TEST_F(GrpcWeb, BinaryMessagesStreamAndTrailersAreTheLastFrame) {
  Exchange& e = call(kWeb);
  e.send(frame(0, "question"), false);
  EXPECT_EQ(e.body, frame(0, "question"));
  e.send("", true);
  EXPECT_TRUE(e.ended);
  answer(e);
  EXPECT_TRUE(e.response_began) << "nothing waits";
  EXPECT_EQ(e.response_header("content-type"), kWeb);
  EXPECT_EQ(e.response.framing, http::Framing::kChunked);
  EXPECT_FALSE(e.response.has_content_length);
  e.respond_body(frame(0, "one"));
  EXPECT_EQ(e.response_body, frame(0, "one"));
  e.respond_body(frame(0, "two"));
  trailers(e);
  EXPECT_EQ(e.response_body, frame(0, "one") + frame(0, "two") + frame(0x80, kTrailers));
  EXPECT_TRUE(e.response_ended);
  EXPECT_FALSE(e.trailers_passed);
}

TEST_F(GrpcWeb, TextMayBeCutAndPaddedAnywhere) {
  const std::string all = frame(0, "first") + frame(0, "") + frame(0, "the third");
  const std::string text =
      base64(all.substr(0, 4)) + base64(all.substr(4, 7)) + base64(all.substr(11));
  for (size_t size = 1; size < text.size(); ++size) {
    Exchange& e = call(kText);
    for (size_t at = 0; at < text.size(); at += size)
      e.send(std::string_view(text).substr(at, size), at + size >= text.size());
    EXPECT_EQ(e.body, all) << size;
    EXPECT_TRUE(e.ended);
  }
}

TEST_F(GrpcWeb, WhatIsNoBase64IsRefused) {
  struct Case {
    std::string_view first, second, details;
  };
  const Case cases[] = {
      {"AAAA", "A!AA", "grpc_base_64_decode_failed"},
      {"AAAA", "AA", "grpc_base_64_decode_failed_bad_size"},
      {"AAA", "", "grpc_base_64_decode_failed_bad_size"},
      {"A===", "", "grpc_base_64_decode_failed"},
  };
  for (const auto& [first, second, details] : cases) {
    Exchange& e = call(kText);
    e.send(first, false);
    if (e.status == 0) e.send(second, true);
    EXPECT_EQ(e.status, 400) << first << second;
    EXPECT_EQ(e.details, details);
    EXPECT_FALSE(e.ended);
  }
  Exchange& e = call(kText);
  e.send("AAA", false);
  (void)e.run->on_request_trailers();
  EXPECT_EQ(e.details, "grpc_base_64_decode_failed_bad_size");
}

TEST_F(GrpcWeb, AnswersAreTextForWhoAcceptsIt) {
  Exchange& e = call(kText, kText);
  answer(e);
  EXPECT_EQ(e.response_header("content-type"), "application/grpc-web-text+proto");
  const std::string first = frame(0, "a");
  e.respond_body(first);
  EXPECT_EQ(e.response_body, base64(first)) << "no byte waits for the next piece";
  e.respond_body(frame(0, std::string(40'000, 'x')));
  trailers(e);
  EXPECT_EQ(unbase64(e.response_body),
            first + frame(0, std::string(40'000, 'x')) + frame(0x80, kTrailers));
  Exchange& binary = call(kText, "*/*");
  answer(binary);
  EXPECT_EQ(binary.response_header("content-type"), kWeb);
}

TEST_F(GrpcWeb, AnAnswerOfNothingButTrailersKeepsThemInItsHead) {
  Exchange& e = call(kWeb);
  e.response.status = 200;
  e.response.headers.set("content-type", "application/grpc");
  e.response.headers.set("grpc-status", "12");
  e.respond_head(true);
  EXPECT_EQ(e.response_header("content-type"), kWeb);
  EXPECT_EQ(e.response_header("grpc-status"), "12");
  EXPECT_TRUE(e.response_ended);
}

TEST_F(GrpcWeb, AnAnswerThatIsNoneOfGrpcBecomesAStatusAndAMessage) {
  for (const bool has_trailers : {false, true}) {
    Exchange& e = call(kWeb);
    answer(e, "text/html", 503);
    EXPECT_FALSE(e.response_began);
    e.respond_body("<b>100%");
    e.respond_body(" busy\n", !has_trailers);
    if (has_trailers) e.respond_trailers();
    EXPECT_TRUE(e.response_began);
    EXPECT_TRUE(e.response_ended);
    EXPECT_FALSE(e.trailers_passed);
    EXPECT_EQ(e.response_body, "");
    EXPECT_EQ(e.response.status, 503);
    EXPECT_EQ(e.response_header("content-type"), kWeb);
    EXPECT_EQ(e.response_header("grpc-status"), "14");
    EXPECT_EQ(e.response_header("grpc-message"), "<b>100%25 busy%0A");
    EXPECT_EQ(e.response.content_length, 0u);
    EXPECT_TRUE(e.response.has_content_length);
    EXPECT_TRUE(e.gave_up);
  }
}

TEST_F(GrpcWeb, SuchAnAnswerWithoutABodyHasAStatusToo) {
  Exchange& e = call(kWeb);
  e.respond(404);
  EXPECT_EQ(e.response_header("grpc-status"), "12");
}

TEST_F(GrpcWeb, OfALongOneOnlyTheBeginningIsKept) {
  Exchange& e = call(kWeb);
  answer(e, "text/html", 500);
  e.respond_body(std::string(10'000, 'a'));
  EXPECT_FALSE(e.response_began);
  e.respond_body(std::string(10'000, 'b'));
  EXPECT_TRUE(e.response_began) << "the rest is not waited for";
  EXPECT_TRUE(e.response_ended);
  EXPECT_TRUE(e.gave_up);
  const std::string message = e.response_header("grpc-message");
  EXPECT_EQ(message, std::string(10'000, 'a') + std::string(6384, 'b'));
  EXPECT_EQ(e.response_body, "");
}

// Not one byte more is waited for than what the message takes.
TEST_F(GrpcWeb, TheMessageIsMadeWhenAllOfItIsThere) {
  Exchange& e = call(kWeb);
  answer(e, "text/html", 500);
  e.respond_body(std::string(16 * 1024 - 1, 'a'));
  EXPECT_FALSE(e.response_began);
  e.respond_body("b");
  EXPECT_TRUE(e.response_ended);
  EXPECT_EQ(e.response_header("grpc-message"), std::string(16 * 1024 - 1, 'a') + "b");
}

// A reply of the proxy takes its place: it broke off, or took too long.
TEST_F(GrpcWeb, WhatTakesThePlaceOfSuchAnAnswerIsToldInItsWay) {
  for (const bool is_text : {false, true}) {
    Exchange& e = is_text ? call(kText, kText) : call(kWeb);
    answer(e, "text/html", 500);
    http::ResponseHead reply(e.arena_);
    reply.headers.set("content-type", "application/grpc");
    EXPECT_TRUE(e.run->on_response_head(reply, true));
    EXPECT_EQ(reply.headers.get(http::HeaderId::kContentType),
              is_text ? std::string_view("application/grpc-web-text+proto") : kWeb);
  }
}

// ---- memory ----

TEST_F(GrpcWeb, ALongCallInTextHasOneBlockEachWay) {
  Exchange& e = call(kText, kText);
  answer(e);
  const size_t before = e.arena_.bytes_reserved();
  // Messages that grow; the longest one comes in pieces.
  for (size_t size = 1; size < 40'000; size += size / 3 + 1) {
    const std::string piece = frame(0, std::string(size, 'x'));
    e.body.clear();
    e.response_body.clear();
    e.send(base64(piece), false);
    e.respond_body(piece);
    EXPECT_EQ(e.body, piece);
    EXPECT_EQ(unbase64(e.response_body), piece);
  }
  const size_t grown = e.arena_.bytes_reserved();
  EXPECT_LE(grown, before + 2 * Arena::kChunkBytes);
  const std::string piece = frame(0, std::string(16 * 1024, 'x'));
  for (int i = 0; i < 1000; ++i) {
    e.send(base64(piece), false);
    e.respond_body(piece);
  }
  EXPECT_EQ(e.arena_.bytes_reserved(), grown);
}

TEST_F(GrpcWeb, TrailersMayBeLongerThanABlock) {
  Exchange& e = call(kText, kText);
  answer(e);
  const std::string value(50'000, 'v');
  e.response_trailers.add("x-long", value);
  e.respond_trailers();
  EXPECT_EQ(unbase64(e.response_body), frame(0x80, str("x-long:", value, "\r\n")));
}

TEST_F(GrpcWeb, AnApplicationThatSpeaksItIsUnderstood) {
  Exchange& e = call(kText, kText);
  answer(e, "application/grpc-web+proto; charset=x");
  const std::string body = frame(0, "a") + frame(0x80, kTrailers);
  e.respond_body(body, true);
  EXPECT_EQ(e.response_body, base64(body));
}

TEST_F(GrpcWeb, HasNoFields) { EXPECT_EQ(errors_of("{ a: 1 }"), "f:1:3: a: unknown field\n"); }

}  // namespace
}  // namespace pillion::filters
