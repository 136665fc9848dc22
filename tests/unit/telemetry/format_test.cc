#include "proxy/telemetry/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "proxy/base/response_flags.h"
#include "proxy/base/str.h"
#include "proxy/core/tracer.h"
#include "tests/unit/telemetry/sample.h"

namespace pillion::telemetry {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

std::string render(std::string_view text, const core::StreamInfo& info,
                   const FormatOptions& options = {}) {
  const auto format = Format::compile(text, options);
  if (!format) return "error: " + format.error();
  std::string out;
  format->append(out, info);
  return out;
}

class FormatTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::string text(std::string_view format) const {
    return render(format, sample.info);
  }
  Sample sample;
  core::StreamInfo nothing;
};

TEST_F(FormatTest, WritesEnvoysDefaultLine) {
  std::string out;
  Format::default_line().append(out, sample.info);
  EXPECT_EQ(out,
            "[2026-11-24T14:00:00.123Z] \"GET /users/7?a=b%20c&q=1 HTTP/1.1\" 200 - 17 321 12 4 "
            "\"10.0.0.9\" "
            "\"curl/8.5\" \"5d7f-11\" \"users:8080\" \"10.1.2.5:8080\"\n");
}

TEST_F(FormatTest, WritesTheDefaultLineOfATcpConnection) {
  sample.make_tcp();
  std::string out;
  Format::default_line().append(out, sample.info);
  EXPECT_EQ(out,
            "[2026-11-24T13:59:59.623Z] \"- - -\" 0 - 17 321 512 - \"-\" \"-\" \"-\" \"-\" "
            "\"10.1.2.5:8080\"\n");
}

TEST_F(FormatTest, KnowsWhenAStreamBeganByHowLongAgoThatWas) {
  const int64_t before = wall_now().time_since_epoch() / 1s;
  sample.info.wall_begin = {};
  sample.info.times.ds_rx_begin = MonotonicClock::now() - 100s;
  const int64_t began = std::stoll(text("%START_TIME(%s)%"));
  const int64_t after = wall_now().time_since_epoch() / 1s;
  EXPECT_GE(began, before - 101);
  EXPECT_LE(began, after - 99);
}

TEST_F(FormatTest, ReadsHeaders) {
  EXPECT_EQ(text("%REQ(:METHOD)% %REQ(:scheme)% %REQ(Host)% %REQ(USER-AGENT)%"),
            "GET http users:8080 curl/8.5");
  EXPECT_EQ(text("%REQ(X-CUSTOM)%"), "first") << "the first of several, as Envoy";
  EXPECT_EQ(text("%REQ(X-NONE?X-CUSTOM)% %REQ(X-NONE?X-NEITHER)%"), "first -");
  EXPECT_EQ(text("%REQUEST_HEADER(x-custom)% %RESPONSE_HEADER(:status)%"), "first 200");
  EXPECT_EQ(text("%RESP(CONTENT-LENGTH)% %TRAILER(X-CHECKSUM)%"), "321 abc");
  EXPECT_EQ(text("%REQ_WITHOUT_QUERY(:PATH)%"), "/users/7");
}

TEST_F(FormatTest, CutsToTheMaximumLength) {
  EXPECT_EQ(text("%REQ(USER-AGENT):4%|%REQ(USER-AGENT):0%|%REQ(USER-AGENT):99%"), "curl||curl/8.5");
  sample.request.headers.add_copy("x-name", "caf\xc3\xa9");
  EXPECT_EQ(text("%REQ(X-NAME):4%"), "caf") << "not within a character";
}

TEST_F(FormatTest, EscapesWhatAPeerSent) {
  sample.request.headers.add_copy("x-evil", "a\n[2026] \"GET\x1b[2J\x7f\xff");
  EXPECT_EQ(text("%REQ(X-EVIL)%"), "a\\n[2026] \"GET\\x1b[2J\\x7f\\xff");
  EXPECT_EQ(render("%REQ(X-EVIL)%", sample.info, {Escape::kControls, false}),
            "a\\n[2026] \"GET\\x1b[2J\\x7f\xff");
}

TEST_F(FormatTest, KeepsTheTextAroundOperators) {
  EXPECT_EQ(text("100%% \t\n%RESPONSE_CODE%%%%PROTOCOL%"), "100% \t\n200%HTTP/1.1");
  EXPECT_EQ(text(""), "");
}

TEST_F(FormatTest, PrintsADashOrNothingForWhatIsAbsent) {
  EXPECT_EQ(render("%REQ(X)%|%UPSTREAM_HOST%|%START_TIME(x)%", nothing), "-|-|x");
  EXPECT_EQ(render("a%REQ(X)%b%UPSTREAM_HOST%c", nothing, {Escape::kLine, true}), "abc");
}

TEST_F(FormatTest, KnowsAddresses) {
  EXPECT_EQ(text("%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% "
                 "%DOWNSTREAM_REMOTE_PORT%"),
            "10.1.2.3:40000 10.1.2.3 40000");
  EXPECT_EQ(text("%DOWNSTREAM_LOCAL_ADDRESS% %UPSTREAM_LOCAL_PORT%"), "10.1.2.4:15006 50001");
  EXPECT_EQ(text("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(16)% "
                 "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(31)%"),
            "10.1.0.0/16 10.1.2.2/31");
  const uint8_t v6[16] = {0xfd, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9};
  sample.connection.remote = io::Address::ipv6(v6, 443);
  EXPECT_EQ(text("%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(64)%"),
            "[fd00:0:0:1::9]:443 fd00:0:0:1::/64");
  sample.connection.remote = io::Address::unix_path("/run/app.sock");
  EXPECT_EQ(text("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(8)% %DOWNSTREAM_REMOTE_PORT%"),
            "unix:/run/app.sock -");
}

TEST_F(FormatTest, KnowsTheUpstream) {
  EXPECT_EQ(text("%UPSTREAM_CLUSTER% %UPSTREAM_HOST% %UPSTREAM_HOST_NAME% %UPSTREAM_PROTOCOL%"),
            "users 10.1.2.5:8080 10.1.2.5:8080 HTTP/1.1");
  sample.info.upstream.host_name = "users-1.shop:8080";
  EXPECT_EQ(text("%UPSTREAM_HOST_NAME% %UPSTREAM_HOST_NAME_WITHOUT_PORT%"),
            "users-1.shop:8080 users-1.shop");
  sample.info.upstream.transport_failure = "TLS error: certificate verify failed";
  EXPECT_EQ(text("%UPSTREAM_TRANSPORT_FAILURE_REASON%"), "TLS_error:_certificate_verify_failed");
  EXPECT_EQ(text("%UPSTREAM_REQUEST_ATTEMPT_COUNT% %UPSTREAM_CONNECTION_ID% %CONNECTION_ID%"),
            "1 7 42");
}

TEST_F(FormatTest, KnowsTls) {
  EXPECT_EQ(
      text("%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_PEER_SUBJECT%"),
      "spiffe://mesh.local/ns/shop/sa/customer,spiffe://mesh.local/second TLSv1.3 CN=customer");
  EXPECT_EQ(text("%UPSTREAM_PEER_URI_SAN%"), "-") << "plain text";
}

TEST_F(FormatTest, KnowsCertificatesOfBothEnds) {
  sample.info.upstream.identity = &sample.identity;
  for (const std::string side : {"DOWNSTREAM", "UPSTREAM"}) {
    const auto of = [&](std::string_view name) { return text(str('%', side, '_', name, '%')); };
    EXPECT_EQ(of("PEER_URI_SAN"),
              "spiffe://mesh.local/ns/shop/sa/customer,spiffe://mesh.local/second");
    EXPECT_EQ(of("PEER_DNS_SAN"), "customer.shop");
    EXPECT_EQ(of("PEER_IP_SAN"), "10.1.2.3,::1");
    EXPECT_EQ(of("PEER_EMAIL_SAN"), "-");
    EXPECT_EQ(of("PEER_SUBJECT"), "CN=customer");
    EXPECT_EQ(of("PEER_ISSUER"), "CN=mesh");
    EXPECT_EQ(of("PEER_SERIAL"), "0a");
    EXPECT_EQ(of("PEER_FINGERPRINT_256"), "ab12");
    EXPECT_EQ(of("PEER_FINGERPRINT_1"), "cd34");
    EXPECT_EQ(of("PEER_CERT"),
              "-----BEGIN%20CERTIFICATE-----%0AMAP%2F%2Fvs%3D%0A-----END%20CERTIFICATE-----%0A");
    EXPECT_EQ(of("PEER_CERT_V_START"), "2023-11-14T22:13:20.000Z");
    EXPECT_EQ(text(str('%', side, "_PEER_CERT_V_END(%Y-%m-%d)%")), "2027-01-15");
    EXPECT_EQ(of("LOCAL_URI_SAN"), "spiffe://mesh.local/ns/shop/sa/users");
    EXPECT_EQ(of("LOCAL_DNS_SAN"), "users,users.shop");
    EXPECT_EQ(of("LOCAL_SUBJECT"), "-");
    EXPECT_EQ(of("TLS_VERSION"), "TLSv1.3");
    EXPECT_EQ(of("TLS_GROUP"), "X25519");
    EXPECT_EQ(of("TLS_SESSION_ID"), "01fe");
  }
  sample.identity.certificate = nullptr;
  EXPECT_EQ(text("%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_CERT% %DOWNSTREAM_PEER_CERT_V_END%"),
            "- - -")
      << "the peer showed none";
}

TEST_F(FormatTest, KnowsDurations) {
  EXPECT_EQ(text("%DURATION% %REQUEST_DURATION% %REQUEST_TX_DURATION% %RESPONSE_DURATION% "
                 "%RESPONSE_TX_DURATION%"),
            "12 1 4 8 2");
  EXPECT_EQ(text("%COMMON_DURATION(DS_RX_BEG:US_RX_BEG)% %COMMON_DURATION(US_TX_BEG:US_TX_END:us)% "
                 "%COMMON_DURATION(DS_CX_BEG:DS_RX_BEG:ns)%"),
            "8 1000 500000000");
  EXPECT_EQ(text("%COMMON_DURATION(US_RX_BEG:DS_RX_BEG)%"), "-") << "in the wrong order";
  EXPECT_EQ(text("%COMMON_DURATION(DS_CX_BEG:DS_CX_END)%"), "-") << "the connection goes on";
  sample.make_tcp();
  EXPECT_EQ(text("%COMMON_DURATION(DS_CX_BEG:DS_CX_END)%"), "512");
}

TEST_F(FormatTest, KnowsResponseFlags) {
  EXPECT_EQ(text("%RESPONSE_FLAGS%"), "-");
  sample.info.failure = {FailureKind::kConnectFailed};
  EXPECT_EQ(text("%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%"), "UF UpstreamConnectionFailure");
  sample.info.flags =
      flag_bit(ResponseFlag::kUpstreamRetryLimitExceeded) | flag_bit(ResponseFlag::kDelayInjected);
  EXPECT_EQ(text("%RESPONSE_FLAGS%"), "URX,DI,UF") << "the one that ended the stream comes last";
  sample.info.failure = {};
  EXPECT_EQ(text("%RESPONSE_FLAGS%"), "URX,DI");
  sample.info.flags = (uint64_t{1} << kResponseFlagCount) - 1;
  EXPECT_THAT(text("%RESPONSE_FLAGS_LONG%"), HasSubstr("UnconditionalDropOverload"));
}

TEST(ResponseFlags, EveryFlagOfAFailureIsKnown) {
  for (int kind = 0; kind <= static_cast<int>(FailureKind::kInternal); ++kind) {
    const FailureRow& row = failure_row(static_cast<FailureKind>(kind));
    EXPECT_TRUE(row.flag.empty() || find_flag_bit(row.flag) != 0) << row.name << " " << row.flag;
  }
}

TEST_F(FormatTest, KnowsPathsAndQueries) {
  EXPECT_EQ(text("%PATH% %PATH(NQ)% %PATH(WQ:PATH)% %PATH(NQ:PATH)% %PATH(:ORIG)%"),
            "/old/7 /old/7 /users/7?a=b%20c&q=1 /users/7 /old/7");
  EXPECT_EQ(text("%QUERY_PARAM(a)% %QUERY_PARAM(q)% %QUERY_PARAM(z)% %QUERY_PARAMS%"),
            "b c 1 - a=b%20c&q=1");
  EXPECT_EQ(text("%QUERY_PARAMS(DECODED)%"), "a=b c&q=1");
  sample.request.path = "/x?a=1%0a2";
  EXPECT_EQ(text("%QUERY_PARAM(a)%"), "1\\n2") << "decoding makes control characters, too";
}

TEST_F(FormatTest, KnowsGrpcStatus) {
  EXPECT_EQ(text("%GRPC_STATUS%"), "-") << "not a gRPC request";
  sample.request.headers.add_copy("content-type", "application/grpc+proto");
  EXPECT_EQ(text("%GRPC_STATUS(NUMBER)%"), "2") << "Unknown, from a 200 without status";
  sample.trailers.add_copy("grpc-status", "14");
  EXPECT_EQ(text("%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER%"),
            "Unavailable UNAVAILABLE 14");
  sample.trailers.set("grpc-status", "99");
  EXPECT_EQ(text("%GRPC_STATUS%"), "99");
  sample.trailers.set("grpc-status", "x");
  EXPECT_EQ(text("%GRPC_STATUS% %GRPC_STATUS_NUMBER%"), "-1 -1");
}

TEST_F(FormatTest, KnowsTheRequestedName) {
  EXPECT_EQ(text("%REQUESTED_SERVER_NAME% %REQUESTED_SERVER_NAME(HOST_FIRST)%"),
            "users.shop users:8080");
  sample.identity.sni = "";
  EXPECT_EQ(text("%REQUESTED_SERVER_NAME% %REQUESTED_SERVER_NAME(SNI_FIRST)%"), "- users:8080");
}

TEST_F(FormatTest, KnowsTheProcess) {
  ::setenv("PILLION_FORMAT_TEST", "value", 1);
  EXPECT_EQ(
      text("%ENVIRONMENT(PILLION_FORMAT_TEST)% %ENVIRONMENT(PILLION_NO_SUCH)% %ACCESS_LOG_TYPE%"),
      "value - DownstreamEnd");
  ::unsetenv("PILLION_FORMAT_TEST");
  EXPECT_NE(text("%HOSTNAME%"), "-");
  EXPECT_THAT(text("%UNIQUE_ID%"),
              MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  EXPECT_NE(text("%UNIQUE_ID%"), text("%UNIQUE_ID%"));
}

TEST_F(FormatTest, KnowsDetails) {
  sample.info.response_details = "filter says no";
  EXPECT_EQ(text("%RESPONSE_CODE_DETAILS% %RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%"),
            "filter_says_no filter says no");
}

TEST_F(FormatTest, TakesTheFirstOfSeveral) {
  EXPECT_EQ(
      text(
          R"(%COALESCE({"operators": [{"operator": "REQ", "param": "X-NONE"}, "UPSTREAM_CLUSTER"]})%)"),
      "users");
  EXPECT_EQ(
      text(
          R"(%COALESCE({"operators": [{"operator": "REQ", "param": ":PATH", "max_length": 3}]}):2%)"),
      "/u");
  EXPECT_THAT(text(R"(%COALESCE({"operators": ["COALESCE"]})%)"),
              HasSubstr("cannot contain itself"));
  EXPECT_THAT(text("%COALESCE(x)%"), HasSubstr("expected JSON"));
}

TEST_F(FormatTest, GivesADashForDataThatNothingMakesYet) {
  EXPECT_EQ(
      text("%DYNAMIC_METADATA(a:b)% %FILTER_STATE(k:PLAIN):9% %TRACE_ID% %VIRTUAL_CLUSTER_NAME%"),
      "- - - -");
}

TEST_F(FormatTest, KnowsTheTraceOfAStream) {
  const core::StreamTrace trace{"4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"};
  sample.info.trace = &trace;
  EXPECT_EQ(text("%TRACE_ID% %SPAN_ID%"), "4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7");
}

TEST_F(FormatTest, EveryOperatorSurvivesAnEmptyStream) {
  // Neither connection, request, response nor upstream: what a log at accept time would see.
  for (const auto rows : {message_operators(), connection_operators(), stream_operators()}) {
    for (const OperatorRow& row : rows) {
      std::string with = row.name == "COMMON_DURATION" ? "(DS_RX_BEG:DS_TX_END)" : "(x)";
      if (row.arguments != Arguments::kRequired) with = "";
      EXPECT_THAT(render("%" + std::string(row.name) + with + "%", nothing),
                  ::testing::Not(HasSubstr("error")));
    }
  }
}

struct BadFormat {
  std::string_view text;
  std::string_view message;
};

TEST_F(FormatTest, RefusesBadFormatsWithAReason) {
  const BadFormat cases[] = {
      {"%", "expected an operator after \"%\", got \"\""},
      {"50% off", "expected an operator after \"%\", got \" off\" (%% is a percent sign)"},
      {"%REQ(X", "operator is not closed by \"%\": \"%REQ(X\""},
      {"%REQ(X)", "operator is not closed by \"%\""},
      {"%PROTOCOL", "operator is not closed by \"%\""},
      {"%REQ(X):%", "operator is not closed by \"%\""},
      {"%REQ(X):99999999999%", "operator is not closed by \"%\""},
      {"%REQ%", "operator %REQ% needs an argument"},
      {"%REQ()%", "operator %REQ% needs an argument"},
      {"%REQ(A?B?C)%", "at most one alternative"},
      {"%REQ(?B)%", "expected a header name"},
      {"%PROTOCOL(X)%", "operator %PROTOCOL% takes no arguments, got \"X\""},
      {"%RESPONSE_CODES%", "unknown operator %RESPONSE_CODES% (did you mean \"RESPONSE_CODE\"?)"},
      {"%UPSTREAM_METADATA(a:b)%", "operator %UPSTREAM_METADATA% is not supported yet"},
      {"%CEL(request.path)%", "operator %CEL% is not supported yet"},
      {"%START_TIME(%Q)%", "unknown time specifier \"%Q\""},
      {"%COMMON_DURATION(DS_RX_BEG)%", "expected START:END"},
      {"%COMMON_DURATION(DS_RX_BEGIN:DS_TX_END)%", "did you mean \"DS_RX_BEG\"?"},
      {"%COMMON_DURATION(DS_RX_BEG:DS_TX_END:s)%", "expected ms, us or ns, got \"s\""},
      {"%PATH(XQ)%", "expected WQ (with query) or NQ (no query)"},
      {"%GRPC_STATUS(X)%", "expected CAMEL_STRING, SNAKE_STRING or NUMBER"},
      {"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(129)%", "expected a prefix length of 0-128"},
  };
  for (const BadFormat& bad : cases)
    EXPECT_THAT(text(bad.text), HasSubstr(std::string("error: "))) << bad.text;
  for (const BadFormat& bad : cases)
    EXPECT_THAT(text(bad.text), HasSubstr(std::string(bad.message)));
}

TEST_F(FormatTest, RendersIntoAnArena) {
  const auto format = Format::compile("%RESPONSE_CODE%");
  ASSERT_TRUE(format);
  EXPECT_EQ(format->render(sample.arena, sample.info), "200");
}

}  // namespace
}  // namespace pillion::telemetry
