#include "proxy/upstream/grpc_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "proxy/base/str.h"
#include "tests/support/fake_cluster_client.h"

namespace pillion::upstream {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using namespace std::chrono_literals;
using http::grpc_frame;

class GrpcCallTest : public ::testing::Test, public GrpcCallObserver {
 protected:
  void on_grpc_message(std::string_view message) override {
    seen.emplace_back(message);
    if (on_message) on_message();
  }
  void on_grpc_end(const GrpcEnd& end) override {
    EXPECT_FALSE(call.is_open());
    seen.push_back(
        str(end.status, end.is_from_server ? " from the server: " : " here: ", end.reason));
    if (on_end) on_end();
  }
  void open() { call.open({.cluster = "sds", .path = "/p.S/M"}); }
  ::pillion::testing::FakeClusterClient::Call& upstream() { return clusters.last(); }

  ::pillion::testing::FakeClusterClient clusters;
  GrpcCall call{clusters, *this, 64};
  std::vector<std::string> seen;  // messages, then the end
  std::function<void()> on_message, on_end;
};

TEST_F(GrpcCallTest, SendsFramedMessagesToTheMethodWithItsMetadata) {
  const CallField metadata[] = {{"authorization", "Bearer t"}};
  call.open({.cluster = "ca",
             .path = "/istio.v1.auth.IstioCertificateService/CreateCertificate",
             .authority = "istiod",
             .metadata = metadata,
             .timeout = 1500ms});
  call.send("one", false);
  call.send("two", true);
  EXPECT_EQ(upstream().cluster, "ca");
  EXPECT_EQ(upstream().authority, "istiod");
  EXPECT_EQ(upstream().path, "/istio.v1.auth.IstioCertificateService/CreateCertificate");
  EXPECT_THAT(upstream().fields,
              ElementsAre(Pair("content-type", "application/grpc"), Pair("grpc-timeout", "1500m"),
                          Pair("authorization", "Bearer t")));
  EXPECT_EQ(upstream().timeout, 1500ms);
  EXPECT_EQ(upstream().sent, grpc_frame("one") + grpc_frame("two"));
  EXPECT_TRUE(upstream().has_ended);
}

TEST_F(GrpcCallTest, DeliversWholeMessagesHoweverTheirBytesAreCut) {
  open();
  upstream().head();
  for (const char byte : grpc_frame("abc") + grpc_frame("") + grpc_frame("de"))
    upstream().data({&byte, 1});
  EXPECT_THAT(seen, ElementsAre("abc", "", "de"));
  upstream().data(grpc_frame("f") + grpc_frame("g"));
  upstream().trailers("0", "");
  EXPECT_THAT(seen, ElementsAre("abc", "", "de", "f", "g", "0 from the server: grpc-status 0"));
  EXPECT_FALSE(upstream().is_open);
}

TEST_F(GrpcCallTest, TellsTheStatusOfTrailersWithItsMessageDecodedAndPrintable) {
  open();
  upstream().head();
  upstream().trailers("7", "no identity%21%0Aissued 100%");
  EXPECT_THAT(seen, ElementsAre(::testing::StartsWith("7 from the server: grpc-status 7: "
                                                      "no identity!")));
  EXPECT_EQ(seen.back().find('\n'), std::string::npos);
  EXPECT_NE(seen.back().find("100%"), std::string::npos);
}

TEST_F(GrpcCallTest, MapsWhatIsNoAnswerOfGrpcToAStatus) {
  struct Case {
    uint16_t status;
    std::string_view type;
    std::string_view grpc_status;
    bool end;
    std::string_view expected;
  };
  for (const Case& c : std::initializer_list<Case>{
           {503, "text/plain", "", false, "14 here: HTTP status 503"},
           {401, "", "", true, "16 here: HTTP status 401"},
           {403, "", "", true, "7 here: HTTP status 403"},
           {404, "", "", true, "12 here: HTTP status 404"},
           {500, "", "", true, "2 here: HTTP status 500"},
           {200, "application/grpc", "5", true, "5 from the server: grpc-status 5"},
           {200, "application/grpc", "x", true, "2 from the server: grpc-status x"},
           {200, "application/grpc", "", true, "2 from the server: no grpc-status"},
           {200, "text/html", "", false, "2 here: the answer is no gRPC: content-type text/html"},
       }) {
    seen.clear();
    open();
    Arena arena;
    http::ResponseHead head(arena);
    head.status = c.status;
    if (!c.type.empty()) head.headers.add("content-type", c.type);
    if (!c.grpc_status.empty()) head.headers.add("grpc-status", c.grpc_status);
    upstream().observer->on_call_head(head, c.end);
    EXPECT_THAT(seen, ElementsAre(c.expected)) << c.status << c.type << c.grpc_status;
  }
}

TEST_F(GrpcCallTest, EndsWithUnavailableWithoutAConnectionAndWithDeadlineExceededAfterIt) {
  open();
  upstream().fail("Connection refused");
  open();
  upstream().observer->on_call_failed({FailureKind::kRequestTimeoutUpstream}, {});
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0], "14 here: Connection refused");
  EXPECT_TRUE(seen[1].starts_with("4 here: ")) << seen[1];
}

TEST_F(GrpcCallTest, RefusesMessagesThatAreTooLargeCompressedOrCutOff) {
  open();
  upstream().head();
  upstream().data(grpc_frame(std::string(65, 'x')).substr(0, 5));
  EXPECT_THAT(seen, ElementsAre("13 here: a message larger than the limit"));
  open();
  upstream().head();
  upstream().data(std::string_view("\1\0\0\0\1a", 6));
  EXPECT_EQ(seen.back(), "13 here: a compressed message, which was not asked for");
  open();
  upstream().head();
  upstream().data(grpc_frame("abc").substr(0, 7));
  upstream().trailers("0", "");
  EXPECT_EQ(seen.back(), "13 here: the last message is cut off");
  open();
  upstream().head();
  upstream().observer->on_call_data({}, true);
  EXPECT_EQ(seen.back(), "2 from the server: no grpc-status");
}

TEST_F(GrpcCallTest, StopsInTheMiddleOfWhatWasReadWhenItIsClosedOrOpenedAgain) {
  on_message = [this] { call.close(); };
  open();
  upstream().head();
  upstream().data(grpc_frame("a") + grpc_frame("b"));
  EXPECT_THAT(seen, ElementsAre("a"));
  EXPECT_FALSE(upstream().is_open);
  on_message = [this] { open(); };
  open();
  auto& first = upstream();
  first.head();
  first.data(grpc_frame("c") + grpc_frame("d"));
  EXPECT_THAT(seen, ElementsAre("a", "c"));
  EXPECT_FALSE(first.is_open);
  on_message = nullptr;
  upstream().head();
  upstream().data(grpc_frame("e"));
  EXPECT_THAT(seen, ElementsAre("a", "c", "e"));
}

TEST_F(GrpcCallTest, MayBeOpenedAgainFromItsEnd) {
  on_end = [this] {
    if (clusters.calls.size() < 2) open();
  };
  open();
  upstream().fail("Connection refused");
  EXPECT_EQ(clusters.calls.size(), 2U);
  EXPECT_TRUE(call.is_open());
  EXPECT_THAT(upstream().sent, IsEmpty());
}

TEST(GrpcTimeoutText, TakesACoarserUnitWhereEightDigitsAreNotEnough) {
  EXPECT_EQ(grpc_timeout_text(1ms), "1m");
  EXPECT_EQ(grpc_timeout_text(Duration(1)), "1m") << "never 0, which would be over at once";
  EXPECT_EQ(grpc_timeout_text(99'999'999ms), "99999999m");
  EXPECT_EQ(grpc_timeout_text(100'000s), "100000S");
  EXPECT_EQ(grpc_timeout_text(Duration::max()), "99999999S");
}

}  // namespace
}  // namespace pillion::upstream
