#include "proxy/http/grpc_messages.h"
#include "tests/unit/filters/filter_fixture.h"

namespace pillion::filters {
namespace {

using namespace std::string_literals;

std::string frame(std::string_view content) {
  std::string out(http::kGrpcPrefix, '\0');
  http::write_grpc_prefix(out.data(), 0, static_cast<uint32_t>(content.size()));
  return out.append(content);
}

class GrpcHttp1Bridge : public FilterTest {
 protected:
  GrpcHttp1Bridge() : FilterTest("envoy.extensions.filters.http.grpc_http1_bridge.v3.Config") {
    configure("{}");
  }
  Exchange& call(std::string_view type = "application/grpc", bool end = false) {
    return exchange({{"content-type", std::string(type)}, {":path", "/a.B/C?q=1"}}, end);
  }
  static void answer(Exchange& e, std::string_view type = "application/grpc") {
    e.response.status = 200;
    e.response.reason = "OK";
    e.response.headers.set("content-type", type);
    e.response.framing = http::Framing::kChunked;
    e.respond_head();
  }
  static void trailers(Exchange& e, std::string_view status, std::string_view message) {
    if (!status.empty()) e.response_trailers.add("grpc-status", status);
    if (!message.empty()) e.response_trailers.add("grpc-message", message);
    e.respond_trailers();
  }
};

TEST_F(GrpcHttp1Bridge, TheStatusComesInTheHead) {
  struct Case {
    std::string_view status, message;
    uint16_t http;
  };
  const Case cases[] = {{"0", "", 200}, {"5", "no such", 503}, {"x", "", 503}, {"99", "", 503}};
  for (const auto& [status, message, http_status] : cases) {
    Exchange& e = call();
    EXPECT_TRUE(e.head.te_trailers);
    EXPECT_EQ(e.head.path, "/a.B/C?q=1");
    answer(e);
    e.respond_body(frame("one"));
    EXPECT_FALSE(e.response_began) << "it waits for the trailers";
    trailers(e, status, message);
    EXPECT_TRUE(e.response_began);
    EXPECT_TRUE(e.response_ended);
    EXPECT_FALSE(e.trailers_passed);
    EXPECT_EQ(e.response.status, http_status) << status;
    EXPECT_EQ(e.response.reason, http_status == 200 ? "OK" : "");
    EXPECT_EQ(e.response_header("grpc-status"), status);
    EXPECT_EQ(e.response_header("grpc-message"), message);
    EXPECT_EQ(e.response_body, frame("one"));
    EXPECT_EQ(e.response.framing, http::Framing::kLength);
    EXPECT_EQ(e.response.content_length, 8u);
  }
}

TEST_F(GrpcHttp1Bridge, AnAnswerWithoutAStatusIsUnknown) {
  Exchange& e = call();
  answer(e);
  e.respond_body(frame("one"), true);
  EXPECT_EQ(e.response.status, 503);
  EXPECT_EQ(e.response_header("grpc-status"), "2");
  Exchange& empty = call();
  empty.response.headers.set("content-type", "application/grpc");
  empty.respond(200);
  EXPECT_EQ(empty.response.status, 503);
  EXPECT_EQ(empty.response_header("grpc-status"), "2");
  Exchange& other = call();
  other.respond(204);
  EXPECT_EQ(other.response.status, 204);
  EXPECT_EQ(other.response_header("grpc-status"), "");
}

TEST_F(GrpcHttp1Bridge, AnAnswerOfNothingButTrailersHasAnErrorsStatusToo) {
  Exchange& e = call();
  e.response.headers.set("grpc-status", "12");
  e.respond(200);
  EXPECT_EQ(e.response.status, 503);
  Exchange& good = call();
  good.response.headers.set("grpc-status", "0");
  good.respond(200);
  EXPECT_EQ(good.response.status, 200);
}

TEST_F(GrpcHttp1Bridge, OthersPassAsTheyAre) {
  Exchange& http2 = exchange({{"content-type", "application/grpc"}}, false);
  http2.head.protocol = http::Protocol::kHttp2;
  http2.run = nullptr;
  http2.begin(false);
  answer(http2);
  EXPECT_TRUE(http2.response_began);
  trailers(http2, "5", "");
  EXPECT_TRUE(http2.trailers_passed);
  Exchange& json = call("application/json");
  EXPECT_FALSE(json.head.te_trailers);
  answer(json);
  EXPECT_TRUE(json.response_began);
  // Whoever does not answer by gRPC.
  Exchange& page = call();
  answer(page, "text/html");
  EXPECT_TRUE(page.response_began);
  page.respond_body("busy");
  trailers(page, "5", "");
  EXPECT_EQ(page.response.status, 200);
  EXPECT_TRUE(page.trailers_passed);
}

TEST_F(GrpcHttp1Bridge, AnAnswerThatIsTooLongIsRefused) {
  Exchange& e = call();
  answer(e);
  const std::string piece(64 * 1024, 'x');
  for (int i = 0; i < 16; ++i) e.respond_body(piece);
  EXPECT_EQ(e.status, 0) << "a mebibyte is not too long";
  e.respond_body("x");
  EXPECT_EQ(e.status, 500);
}

TEST_F(GrpcHttp1Bridge, QueryParametersAreRemovedWhereTheConfigurationSaysSo) {
  configure("{ ignore_query_parameters: true }");
  EXPECT_EQ(call().head.path, "/a.B/C");
  EXPECT_EQ(call("application/json").head.path, "/a.B/C?q=1");
}

class ProtobufUpgrade : public GrpcHttp1Bridge {
 protected:
  ProtobufUpgrade() { configure("{ upgrade_protobuf_to_grpc: true }"); }
  // A request of that length; -1: chunked.
  Exchange& call(int64_t length) {
    Exchange& e = exchange({{"content-type", "application/x-protobuf"}}, length == 0);
    if (length == 0) return e;
    e.run->end();
    e.head.headers.set("content-type", "application/x-protobuf");
    e.passed = false;
    if (length > 0) {
      e.head.framing = http::Framing::kLength;
      e.head.content_length = static_cast<uint64_t>(length);
    } else {
      e.head.framing = http::Framing::kChunked;
      e.head.content_length = 0;
    }
    e.begin(false);
    return e;
  }
};

TEST_F(ProtobufUpgrade, AMessageOfKnownLengthStreams) {
  Exchange& e = call(8);
  EXPECT_TRUE(e.passed);
  EXPECT_EQ(e.header("content-type"), "application/grpc");
  EXPECT_EQ(e.head.content_length, 13u);
  e.send("mess", false);
  EXPECT_EQ(e.body, frame("message!").substr(0, 9));
  e.send("age!", true);
  EXPECT_EQ(e.body, frame("message!"));
  EXPECT_TRUE(e.ended);
}

TEST_F(ProtobufUpgrade, AMessageOfUnknownLengthWaits) {
  Exchange& e = call(-1);
  e.send("mess", false);
  EXPECT_FALSE(e.passed);
  e.send("age!", true);
  EXPECT_TRUE(e.passed);
  EXPECT_EQ(e.head.framing, http::Framing::kLength);
  EXPECT_EQ(e.head.content_length, 13u);
  EXPECT_EQ(e.body, frame("message!"));
  EXPECT_TRUE(e.ended);
  Exchange& long_one = call(-1);
  for (int i = 0; i < 17; ++i) long_one.send(std::string(64 * 1024, 'x'), false);
  EXPECT_EQ(long_one.status, 413);
}

// google.protobuf.Empty is a message of no bytes.
TEST_F(ProtobufUpgrade, AnEmptyMessageIsOne) {
  Exchange& e = call(0);
  EXPECT_TRUE(e.passed);
  EXPECT_EQ(e.head.content_length, 5u);
  EXPECT_EQ(e.body, frame(""));
  EXPECT_TRUE(e.ended);
}

TEST_F(ProtobufUpgrade, AnEmptyMessageWithTrailersIsRefused) {
  Exchange& e = call(-1);
  (void)e.run->on_request_trailers();
  EXPECT_EQ(e.status, 400);
  EXPECT_EQ(e.body, "");
}

// The proxy's own reply to a call, after the upstream's head has come.
TEST_F(ProtobufUpgrade, WhatTakesThePlaceOfAnAnswerHasAnErrorsStatusToo) {
  Exchange& e = call(0);
  answer(e);
  e.respond_body(frame("x"));
  http::ResponseHead reply(e.arena_);
  reply.status = 200;
  reply.headers.set("content-type", "application/grpc");
  reply.headers.set("grpc-status", "14");
  EXPECT_TRUE(e.run->on_response_head(reply, true));
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.headers.get(http::HeaderId::kContentType), "application/x-protobuf");
  EXPECT_EQ(reply.headers.get(http::HeaderId::kGrpcStatus), "14");
}

TEST_F(ProtobufUpgrade, TheAnswerIsTheMessageAlone) {
  Exchange& e = call(0);
  answer(e);
  e.respond_body("\0\0"s);
  e.respond_body("\0\0\6answ"s);
  e.respond_body("er");
  trailers(e, "0", "");
  EXPECT_EQ(e.response_body, "answer");
  EXPECT_EQ(e.response.content_length, 6u);
  EXPECT_EQ(e.response_header("content-type"), "application/x-protobuf");
  EXPECT_EQ(e.response_header("grpc-status"), "0");
  Exchange& failed = call(0);
  answer(failed);
  trailers(failed, "13", "");
  EXPECT_EQ(failed.response.status, 503);
  EXPECT_EQ(failed.response.content_length, 0u);
  EXPECT_EQ(failed.response_body, "");
}

TEST_F(GrpcHttp1Bridge, WrongConfigurationsAreNamed) {
  EXPECT_EQ(errors_of("{ upgrade_protobuf: true }"), "f:1:3: upgrade_protobuf: unknown field\n");
}

}  // namespace
}  // namespace pillion::filters
