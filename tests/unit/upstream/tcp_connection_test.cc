#include "proxy/upstream/tcp_connection.h"

#include "tests/support/sockets.h"
#include "tests/unit/upstream/pool_fixture.h"

namespace pillion::upstream {
namespace {

using CloseMode = io::Transport::CloseMode;

// The connection's user; closes what is still open when the test ends.
class User final : public TcpConnection::Owner {
 public:
  User(io::Loop& l, Cluster& cluster)
      : loop(l),
        connection(std::make_unique<TcpConnection>(l, cluster, cluster.use(*cluster.hosts()[0]),
                                                   static_cast<TcpConnection::Owner&>(*this))) {}
  ~User() {
    close(CloseMode::kOrderly, false);
    loop.delete_later(std::move(connection));
  }
  void close(CloseMode mode, bool remote) { connection->close(mode, remote); }
  void on_tcp_connected() override { ++connected; }
  void on_tcp_failed(Failure f) override {
    ++failed;
    failure = f;
    was_closed = !connection->is_open();
  }
  [[nodiscard]] bool is_settled() const { return connected + failed != 0; }

  io::Loop& loop;
  std::unique_ptr<TcpConnection> connection;
  int connected = 0;
  int failed = 0;
  bool was_closed = false;  // when it was told of the failure
  Failure failure;
};

class TcpConnectionTest : public UpstreamTest {
 protected:
  bool settles(const User& user) {
    return run_until(loop, [&] { return user.is_settled(); });
  }
};

TEST_F(TcpConnectionTest, CarriesBytesAndCountsItsLife) {
  Backend backend;
  Cluster& cluster = set(hosts_at({backend.address}));
  Host& host = use(cluster);
  User user(loop, cluster);
  ASSERT_TRUE(user.connection->open());
  EXPECT_FALSE(user.is_settled()) << "no callback inside open()";
  ASSERT_TRUE(settles(user));
  EXPECT_EQ(user.connected, 1);
  EXPECT_EQ(stats->upstream_cx_active.value(), 1);
  EXPECT_EQ(host.counters().cx_active.value(), 1);
  EXPECT_EQ(host.active(), 1u) << "balancers see it";
  EXPECT_EQ(count_of(stats->upstream_cx_connect_ms), 1u);

  testing::RecordingObserver observer;
  observer.transport = &user.connection->transport();
  user.connection->transport().start(observer);
  Conn conn = backend.accept();
  conn.send("bytes");
  EXPECT_TRUE(run_until(loop, [&] { return observer.received == "bytes"; }));
  user.connection->count_bytes(5, 7);
  EXPECT_EQ(stats->upstream_cx_rx_bytes_total.value(), 5u);
  EXPECT_EQ(stats->upstream_cx_tx_bytes_total.value(), 7u);

  user.close(CloseMode::kOrderly, true);
  user.close(CloseMode::kOrderly, false);  // counts nothing
  EXPECT_TRUE(conn.is_closed());
  EXPECT_EQ(host.active(), 0u);
  EXPECT_EQ(host.counters().cx_active.value(), 0);
  EXPECT_EQ(stats->upstream_cx_destroy_remote.value(), 1u);
  EXPECT_EQ(count_of(stats->upstream_cx_length_ms), 1u);
  EXPECT_EQ(stats->upstream_cx_connect_fail.value(), 0u);
}

TEST_F(TcpConnectionTest, PassesAResetOn) {
  Backend backend;
  User user(loop, set(hosts_at({backend.address})));
  ASSERT_TRUE(user.connection->open());
  ASSERT_TRUE(settles(user));
  const testing::Fd peer(backend.accept().release());
  user.close(CloseMode::kReset, false);
  EXPECT_EQ(testing::receive(peer.get()), "RST");
  EXPECT_EQ(stats->upstream_cx_destroy_local.value(), 1u);
}

TEST_F(TcpConnectionTest, TellsOfARefusalWhenItIsClosedAlready) {
  const Backend nobody_listens(-1);
  Cluster& cluster = set(hosts_at({nobody_listens.address}));
  User user(loop, cluster);
  ASSERT_TRUE(user.connection->open());
  ASSERT_TRUE(settles(user));
  EXPECT_EQ(user.failed, 1);
  EXPECT_TRUE(user.was_closed);
  EXPECT_EQ(user.failure.kind, FailureKind::kConnectFailed);
  EXPECT_EQ(user.connection->failure_reason(), "delayed connect error: Connection refused");
  EXPECT_EQ(stats->upstream_cx_connect_fail.value(), 1u);
  EXPECT_EQ(stats->upstream_cx_destroy_remote.value(), 1u);
  EXPECT_EQ(cluster.hosts()[0]->counters().cx_connect_fail.value(), 1u);
  EXPECT_EQ(count_of(stats->upstream_cx_length_ms), 0u) << "it never lived";
}

TEST_F(TcpConnectionTest, EndsWithTheConnectTimeout) {
  config->pool->connect_timeout = std::chrono::seconds(3);
  const Backend backend;
  User user(loop, set(hosts_at({backend.address})));
  ASSERT_TRUE(user.connection->open());
  // The kernel has connected it, but no turn of the loop has seen that.
  loop.skip(std::chrono::milliseconds(2900));
  EXPECT_FALSE(user.is_settled());
  loop.skip(std::chrono::milliseconds(200));
  EXPECT_EQ(user.failed, 1);
  EXPECT_EQ(user.failure.kind, FailureKind::kConnectTimeout);
  EXPECT_EQ(user.connection->failure_reason(), "");
  EXPECT_EQ(stats->upstream_cx_connect_timeout.value(), 1u);
  EXPECT_EQ(stats->upstream_cx_connect_fail.value(), 1u);
  EXPECT_EQ(stats->upstream_cx_destroy_local.value(), 1u);
  run_for(loop, std::chrono::milliseconds(5));
  EXPECT_EQ(user.connected, 0) << "nothing comes after the end";
}

TEST_F(TcpConnectionTest, OpensNothingBeyondMaxConnections) {
  config->pool->limits.max_connections = 1;
  Backend backend;
  Cluster& cluster = set(hosts_at({backend.address}));
  User first(loop, cluster);
  User second(loop, cluster);
  ASSERT_TRUE(first.connection->open());
  EXPECT_FALSE(second.connection->open());
  EXPECT_FALSE(second.connection->is_open());
  EXPECT_EQ(stats->upstream_cx_overflow.value(), 1u);
  EXPECT_EQ(stats->upstream_cx_total.value(), 1u);
  first.close(CloseMode::kOrderly, false);  // while it connects
  EXPECT_TRUE(second.connection->open()) << "the place is free again";
  ASSERT_TRUE(settles(second));
  EXPECT_EQ(second.connected, 1);
  EXPECT_FALSE(first.is_settled()) << "no callback after close()";
}

TEST_F(TcpConnectionTest, ComesFromTheConfiguredSource) {
  config->pool->source = io::Address::ipv4(0x7f000002, 0);
  Backend backend;
  User user(loop, set(hosts_at({backend.address})));
  ASSERT_TRUE(user.connection->open());
  ASSERT_TRUE(settles(user));
  const testing::Fd peer(backend.accept().release());
  sockaddr_storage from{};
  socklen_t length = sizeof from;
  ASSERT_EQ(::getpeername(peer.get(), reinterpret_cast<sockaddr*>(&from), &length), 0);
  EXPECT_EQ(io::Address::from_sockaddr(reinterpret_cast<sockaddr*>(&from), length).ip_string(),
            "127.0.0.2");
  EXPECT_EQ(stats->bind_errors.value(), 0u);
}

TEST_F(TcpConnectionTest, CountsASourceThatIsNobodys) {
  config->pool->source = io::Address::ipv4(0xc0000201, 0);  // 192.0.2.1
  Backend backend;
  User user(loop, set(hosts_at({backend.address})));
  ASSERT_TRUE(user.connection->open());
  ASSERT_TRUE(settles(user));
  EXPECT_EQ(user.failure.kind, FailureKind::kConnectLocal);
  EXPECT_EQ(user.failure.detail, EADDRNOTAVAIL);
  EXPECT_EQ(stats->bind_errors.value(), 1u);
  EXPECT_EQ(stats->upstream_cx_connect_fail.value(), 1u);
  EXPECT_FALSE(backend.has_waiting());
}

}  // namespace
}  // namespace pillion::upstream
