// The same over real sockets.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/io/socket.h"
#include "tests/unit/tls/transport_fixture.h"

namespace pillion::tls {
namespace {

class SocketTest : public ::testing::Test {
 protected:
  SocketTest() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in sa{};
    sa.sin_family = AF_INET;
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof sa;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&sa), n), 0);
    EXPECT_EQ(::listen(listener_, 16), 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&sa), &n);
    address_ = io::Address::from_sockaddr(reinterpret_cast<sockaddr*>(&sa), n);
  }
  ~SocketTest() override {
    if (listener_ >= 0) ::close(listener_);
  }
  int accept() { return ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC); }
  void connect(const ContextConfig& client_side = client_config(),
               const ContextConfig& server_side = server_config()) {
    client_ = std::make_unique<TlsPeer>(loop_, io::Socket::connect(loop_, address_, {}, {}),
                                        context(client_side),
                                        TlsTransport::Options{.expected_name = kUsers});
    client_->start();
    server_ =
        std::make_unique<TlsPeer>(loop_, io::Socket::adopt(loop_, accept()), context(server_side));
    server_->start();
  }
  template <typename Condition>
  ::testing::AssertionResult until(Condition&& condition) {
    if (run_until(loop_, condition)) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure()
           << "client: " << client_->received.size() << " bytes, " << client_->reason
           << "; server: " << server_->received.size() << " bytes, " << server_->reason;
  }
  io::Loop loop_;
  io::Address address_;
  int listener_;
  std::unique_ptr<TlsPeer> client_;
  std::unique_ptr<TlsPeer> server_;
};

TEST_F(SocketTest, CarriesMuchBothWaysAndEndsInOrder) {
  connect();
  ASSERT_TRUE(until([&] { return client_->connected && server_->connected; }));
  EXPECT_EQ(server_->transport->identity()->uri_san, kCustomer);
  const std::string up = pattern(20'000'000);
  const std::string down = pattern(7'000'000);
  client_->send(up);
  server_->send(down);
  ASSERT_TRUE(until([&] {
    return server_->received.size() == up.size() && client_->received.size() == down.size();
  }));
  EXPECT_TRUE(server_->received == up);
  EXPECT_TRUE(client_->received == down);
  client_->transport->shutdown_write();
  ASSERT_TRUE(until([&] { return server_->eof; }));
  server_->transport->pause(io::PauseReason::kDraining);  // a FIN is for ever readable
  server_->send("after your end");
  server_->destroy();
  ASSERT_TRUE(until([&] { return client_->eof; }));
  EXPECT_TRUE(client_->received.ends_with("after your end"));
}

// The client has sent its request before it learns of the refusal: the alert must not drown in a
// reset.
TEST_F(SocketTest, ARefusedClientLearnsWhy) {
  for (int i = 0; i < 20; ++i) {
    ContextConfig anonymous = client_config();
    anonymous.certificates.clear();
    connect(anonymous);
    client_->when_connected = [this] { client_->send(std::string(30'000, 'x')); };
    server_->when_closed = [this] { server_->destroy(); };
    ASSERT_TRUE(until([&] { return client_->is_over(); }));
    EXPECT_EQ(client_->reason, "the peer sent the alert \"certificate required\"");
    EXPECT_EQ(client_->failure.kind, FailureKind::kTlsFailed);
    EXPECT_EQ(server_->closed, 1);
  }
}

TEST_F(SocketTest, ARefusedConnectIsReportedOnce) {
  ::close(listener_);
  listener_ = -1;
  client_ = std::make_unique<TlsPeer>(loop_, io::Socket::connect(loop_, address_, {}, {}),
                                      context(client_config()));
  client_->start();
  client_->transport->read_again();  // must not touch the unconnected socket
  ASSERT_TRUE(run_until(loop_, [&] { return client_->is_over(); }));
  EXPECT_EQ(client_->closed, 1);
  EXPECT_EQ(client_->failure.kind, FailureKind::kConnectFailed);
  EXPECT_EQ(client_->failure.detail, ECONNREFUSED);
}

TEST_F(SocketTest, AnIdleConnectionLeavesTheLoopAsleep) {
  connect();
  ASSERT_TRUE(until([&] { return client_->connected && server_->connected; }));
  client_->send("x");
  ASSERT_TRUE(until([&] { return server_->received == "x"; }));
  client_->transport->watch();
  server_->transport->watch();
  pillion::testing::run_for(loop_, std::chrono::milliseconds(50));
  const uint64_t turns = loop_.counts.turns;
  pillion::testing::run_for(loop_, std::chrono::milliseconds(100));
  EXPECT_LT(loop_.counts.turns - turns, 20u);
}

TEST_F(SocketTest, AResetIsAnErrorForThePeer) {
  connect();
  ASSERT_TRUE(until([&] { return client_->connected && server_->connected; }));
  server_->destroy(io::Transport::CloseMode::kReset);
  ASSERT_TRUE(until([&] { return client_->is_over(); }));
  EXPECT_TRUE(client_->broken);
  EXPECT_FALSE(client_->eof);
  EXPECT_EQ(client_->failure.detail, ECONNRESET);
}

}  // namespace
}  // namespace pillion::tls
