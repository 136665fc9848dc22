// The CA's server over real sockets, asked by the client that the proxy uses.
#include "certs/ca_server.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>

#include "certs/ca_messages.h"
#include "proxy/base/str.h"
#include "proxy/tls/csr.h"
#include "proxy/tls/pem.h"
#include "proxy/upstream/grpc_call.h"
#include "proxy/upstream/map_client.h"
#include "tests/support/test_ca.h"
#include "tests/unit/upstream/fixture.h"
#include "tests/unit/upstream/pool_fixture.h"

namespace pillion::certs {
namespace {

using ::pillion::testing::now_seconds;
using ::pillion::testing::run_until;
using ::pillion::testing::TestCa;
using namespace std::chrono_literals;
using tls::SanType;
using upstream::GrpcMethod;

constexpr const char* kUsers = "spiffe://mesh.local/ns/shop/sa/users";

std::string yaml_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) out += c == '\n' ? std::string("\\n") : std::string(1, c);
  return out + '"';
}

class CaServerTest : public ::testing::Test, public upstream::GrpcCallObserver {
 protected:
  CaServerTest() {
    char name[] = "/tmp/pillion_ca_XXXXXX";
    folder = mkdtemp(name);
  }
  ~CaServerTest() override { std::filesystem::remove_all(folder); }
  void TearDown() override {
    call.close();
    clusters.clear();
    if (server != nullptr) server->close();
    ::pillion::testing::run_for(loop, 1ms);
    server.reset();
    EXPECT_EQ(Slab::live(), 0);
  }

  // `tls`: on TCP, with a certificate for 127.0.0.1; else on a Unix socket in clear text.
  void serve(bool with_tls) {
    std::shared_ptr<const tls::Context> context;
    if (with_tls) {
      tls::ContextConfig config;
      config.role = tls::Role::kServer;
      config.alpn = {"h2"};
      config.certificates = {TestCa::as_config(ca.issue({{SanType::kIp, "127.0.0.1"}}))};
      context = tls::Context::make(config).value();
    }
    const io::Address at = with_tls ? io::Address::ipv4(INADDR_LOOPBACK, 0)
                                    : io::Address::unix_path(folder + "/ca.sock");
    const int fd = io::open_listener(at, {.reuse_port = false}).value();
    server = std::make_unique<CaServer>(loop, batch, fd, service, context);
    std::string yaml =
        str("{ name: ca, typed_extension_protocol_options: { "
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions: { \"@type\": "
            "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, "
            "explicit_http_config: { http2_protocol_options: {} } } }");
    if (with_tls) {
      yaml +=
          str(", transport_socket: { name: tls, typed_config: { \"@type\": "
              "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, "
              "common_tls_context: { validation_context: { trusted_ca: { inline_string: ",
              yaml_text(ca.pem()),
              " }, match_typed_subject_alt_names: [ { san_type: IP_ADDRESS, matcher: { exact: "
              "127.0.0.1 } } ] } } } }");
    }
    upstream::Endpoint host;
    host.address = with_tls ? server->address() : at;
    clusters.set({upstream::cluster_of(yaml + " }"), upstream::make_host_set({host}, nullptr)});
  }

  void on_grpc_message(std::string_view message) override { answer = message; }
  void on_grpc_end(const upstream::GrpcEnd& end) override {
    status = end.status;
    reason = end.reason;
  }
  void open(std::string_view authorization, std::string_view path = kCreateCertificate) {
    status = -1;
    answer.clear();
    const upstream::CallField metadata[] = {{"authorization", authorization}};
    call.open({.cluster = "ca", .path = path, .metadata = metadata});
  }
  int64_t finish() {
    EXPECT_TRUE(run_until(loop, [this] { return status >= 0; }));
    return status;
  }
  int64_t ask(std::string_view authorization, std::string_view path = kCreateCertificate) {
    open(authorization, path);
    call.send(encode_certificate_request({request.csr_pem, 60}), true);
    return finish();
  }
  void expect_certificate() {
    const auto chain = decode_certificate_response(answer);
    ASSERT_TRUE(chain && chain->size() == 2U) << reason;
    EXPECT_TRUE(tls::check_key_matches(chain->front(), request.key_pem));
  }

  std::string folder;
  TestCa ca;
  CaService service{{ca.own(), now_seconds() - 60, now_seconds() + 86400},
                    CaTokens::parse(str(kUsers, " s3cret"), "mesh.local").value(),
                    1h};
  tls::SigningRequest request = tls::make_signing_request(tls::KeyType::kP256, {}).value();
  io::Loop loop;
  io::WriteBatch batch{loop};
  stats::Registry registry;
  Rng rng{1};
  upstream::ClusterMap clusters{upstream::ClusterContext{loop, batch, registry, 0, rng}};
  upstream::MapClient client{loop, batch, clusters};
  std::unique_ptr<CaServer> server;
  upstream::GrpcCall call{client, *this, 1 << 20};
  std::string answer, reason;
  int64_t status = -1;
};

TEST_F(CaServerTest, SignsInClearTextOnAUnixSocketAndOverTlsOnTcp) {
  for (const bool with_tls : {false, true}) {
    serve(with_tls);
    ASSERT_EQ(ask("Bearer s3cret"), 0) << reason;
    expect_certificate();
    EXPECT_EQ(server->connection_count(), 1U);
    TearDown();
  }
}

TEST_F(CaServerTest, AnswersOneCallAfterTheOtherOnOneConnection) {
  serve(false);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ask("Bearer wrong"), upstream::kGrpcUnauthenticated);
    EXPECT_EQ(reason, "grpc-status 16: the token is for no workload");
    ASSERT_EQ(ask("Bearer s3cret"), 0) << reason;
    expect_certificate();
  }
  EXPECT_EQ(server->connection_count(), 1U);
}

TEST_F(CaServerTest, RefusesOtherMethodsAndWhatIsNoMessage) {
  serve(false);
  EXPECT_EQ(ask("Bearer s3cret", "/istio.v1.auth.IstioCertificateService/Other"),
            upstream::kGrpcUnimplemented);
  open("Bearer s3cret");
  call.send({}, true);
  EXPECT_EQ(finish(), upstream::kGrpcInvalidArgument);
  open("Bearer s3cret");
  call.send("a", false);
  call.send("b", true);
  EXPECT_EQ(finish(), upstream::kGrpcInvalidArgument);
  open("Bearer s3cret");
  call.send(std::string(70'000, 'x'), true);
  EXPECT_EQ(finish(), upstream::kGrpcInvalidArgument);
  EXPECT_EQ(reason, "grpc-status 3: a message larger than the limit");
  ASSERT_EQ(ask("Bearer s3cret"), 0) << reason;
}

TEST_F(CaServerTest, SurvivesClientsThatLeaveInTheMiddleOfACall) {
  serve(false);
  open("Bearer s3cret");
  call.send("not all of it", false);
  ASSERT_TRUE(run_until(loop, [this] { return server->connection_count() == 1; }));
  call.close();
  ASSERT_EQ(ask("Bearer s3cret"), 0) << reason;
  clusters.clear();  // its connection too
  ASSERT_TRUE(run_until(loop, [this] { return server->connection_count() == 0; }));
}

TEST_F(CaServerTest, EndsConnectionsThatAskForNothing) {
  serve(false);
  ASSERT_EQ(ask("Bearer s3cret"), 0) << reason;
  loop.skip(61s);
  ASSERT_TRUE(run_until(loop, [this] { return server->connection_count() == 0; }));
}

}  // namespace
}  // namespace pillion::certs
