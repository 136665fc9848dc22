// Pools over real loopback sockets.
#include "proxy/upstream/pool.h"

#include "proxy/base/str.h"
#include "tests/support/log_capture.h"
#include "tests/unit/upstream/pool_fixture.h"

namespace pillion::upstream {
namespace {

using std::chrono::milliseconds;
using PoolTest = UpstreamTest;

TEST_F(PoolTest, OpensAConnectionAndKeepsItForTheNextRequest) {
  Backend backend;
  Pool& pool = pool_at(backend.address);
  Request first;
  Failure refused;
  EXPECT_EQ(pool.acquire(first, &refused), nullptr);
  EXPECT_FALSE(refused);
  EXPECT_FALSE(first.is_ready()) << "called on the caller's stack";
  EXPECT_EQ(stats->upstream_rq_pending_active.value(), 1);
  ASSERT_TRUE(run_until(loop, [&] { return first.is_ready(); }));
  EXPECT_EQ(stats->upstream_rq_pending_active.value(), 0);
  run_for(loop, milliseconds(1));
  Conn conn = backend.accept();
  finish(conn, first);

  Request second;
  http::ClientConnection* again = pool.acquire(second, &refused);
  ASSERT_EQ(again, first.connection);
  second.send(*again);
  run_for(loop, milliseconds(1));
  finish(conn, second);
  EXPECT_EQ(stats->upstream_cx_total.value(), 1u);
  EXPECT_EQ(stats->upstream_cx_http1_total.value(), 1u);
  EXPECT_EQ(stats->upstream_cx_active.value(), 1);
  EXPECT_EQ(stats->upstream_rq_pending_total.value(), 1u) << "the second did not wait";
  EXPECT_GT(stats->upstream_cx_tx_bytes_total.value(), 0u);
  EXPECT_GT(stats->upstream_cx_rx_bytes_total.value(), 0u);
}

TEST_F(PoolTest, HandsOutTheConnectionThatWasUsedLast) {
  Backend backend;
  Pool& pool = pool_at(backend.address);
  Request a, b;
  a.start(pool);
  b.start(pool);
  ASSERT_TRUE(run_until(loop, [&] { return a.is_ready() && b.is_ready(); }));
  run_for(loop, milliseconds(1));
  EXPECT_EQ(pool.open_connections(), 2u);
  ASSERT_NE(a.connection, b.connection);
  // Which of the two was accepted first does not matter, only which ends last.
  Conn one = backend.accept();
  Conn two = backend.accept();
  one.read_head();
  two.read_head();
  one.respond();
  ASSERT_TRUE(run_until(loop, [&] { return a.done || b.done; }));
  Request& last = a.done ? b : a;
  two.respond();
  ASSERT_TRUE(run_until(loop, [&] { return last.done; }));
  Request c;
  Failure refused;
  http::ClientConnection* got = pool.acquire(c, &refused);
  EXPECT_EQ(got, last.connection);
  c.send(*got);
  c.stream->reset();
}

TEST_F(PoolTest, ServesWaitersInOrderWhenConnectionsAreLimited) {
  config->pool->limits.max_connections = 1;
  Backend backend;
  Pool& pool = pool_at(backend.address);
  std::vector<const Request*> order;
  Request requests[3];
  for (Request& r : requests) {
    r.order = &order;
    r.start(pool);
  }
  EXPECT_EQ(opened(pool), 1u);
  EXPECT_EQ(stats->upstream_cx_overflow.value(), 2u);
  ASSERT_TRUE(run_until(loop, [&] { return requests[0].is_ready(); }));
  run_for(loop, milliseconds(1));
  Conn conn = backend.accept();
  for (Request& r : requests) {
    finish(conn, r);
    run_for(loop, milliseconds(1));
  }
  EXPECT_EQ(order, (std::vector<const Request*>{&requests[0], &requests[1], &requests[2]}));
  EXPECT_EQ(stats->upstream_cx_total.value(), 1u);
}

TEST_F(PoolTest, RefusesMoreWaitersThanMayPend) {
  config->pool->limits.max_pending = 1;
  Backend backend;
  Pool& pool = pool_at(backend.address);
  Request a, b;
  a.start(pool);
  b.start(pool);
  EXPECT_EQ(b.failure.kind, FailureKind::kOverflow);
  EXPECT_EQ(b.failure.row().flag, "UO");
  EXPECT_EQ(stats->upstream_rq_pending_overflow.value(), 1u);
  EXPECT_EQ(stats->upstream_rq_pending_total.value(), 1u);
  EXPECT_FALSE(b.PoolWaiter::is_linked());
  pool.cancel(a);
  Request c;
  c.start(pool);
  EXPECT_FALSE(c.failure) << "the cancelled one gave its place back";
  pool.cancel(c);
}

TEST_F(PoolTest, OpensOneConnectionBeyondTheLimitSoThatEachHostMakesProgress) {
  config->pool->limits.max_connections = 1;
  Backend one, two;
  Cluster& cluster = set(hosts_at({one.address, two.address}));
  Request a, b;
  a.start(use(cluster).pool());
  b.start(use(cluster, 1).pool());
  ASSERT_TRUE(run_until(loop, [&] { return a.is_ready() && b.is_ready(); }));
  EXPECT_EQ(stats->upstream_cx_overflow.value(), 1u);
  EXPECT_EQ(config->limits->connections.used(), 2);
  a.stream->reset();
  b.stream->reset();
}

TEST_F(PoolTest, FailsTheWaiterOfARefusedConnectAndSaysWhy) {
  const Backend nobody(-1);
  Pool& pool = pool_at(nobody.address);
  Request a;
  a.start(pool);
  ASSERT_TRUE(run_until(loop, [&] { return bool(a.failure); }));
  EXPECT_EQ(a.failure.kind, FailureKind::kConnectFailed);
  EXPECT_EQ(pool.last_failure_reason(), "delayed connect error: Connection refused");
  EXPECT_EQ(stats->upstream_cx_connect_fail.value(), 1u);
  EXPECT_EQ(stats->upstream_rq_pending_failure_eject.value(), 1u);
  EXPECT_EQ(stats->upstream_cx_destroy_remote.value(), 1u);
  EXPECT_EQ(stats->upstream_cx_destroy_with_active_rq.value(), 0u);
  EXPECT_TRUE(pool.is_empty());
}

TEST_F(PoolTest, StrandsNoWaiterWhenTheOnlyConnectFails) {
  config->pool->limits.max_connections = 1;
  const Backend nobody(-1);
  Pool& pool = pool_at(nobody.address);
  Request requests[3];
  for (Request& r : requests) r.start(pool);
  ASSERT_TRUE(run_until(loop, [&] { return bool(requests[2].failure); }));
  for (const Request& r : requests) EXPECT_EQ(r.failure.kind, FailureKind::kConnectFailed);
  EXPECT_EQ(stats->upstream_rq_pending_failure_eject.value(), 3u);
  EXPECT_TRUE(pool.is_empty());
}

TEST_F(PoolTest, MayBeAskedAgainByAWaiterThatFailed) {
  struct Stubborn final : PoolWaiter {
    explicit Stubborn(Pool& p) : pool(p) {}
    void on_pool_ready(http::ClientConnection&) override {}
    void on_pool_failure(Failure) override {
      Failure refused;
      if (++failures < 3) {
        EXPECT_EQ(pool.acquire(*this, &refused), nullptr);
      }
    }
    Pool& pool;
    int failures = 0;
  };
  config->pool->limits.max_connections = 1;
  const Backend nobody(-1);
  Pool& pool = pool_at(nobody.address);
  Stubborn a(pool), b(pool);
  Failure refused;
  pool.acquire(a, &refused);
  pool.acquire(b, &refused);
  ASSERT_TRUE(run_until(loop, [&] { return a.failures == 3 && b.failures == 3; }));
  EXPECT_TRUE(pool.is_empty());
}

TEST_F(PoolTest, GivesUpConnectsThatTakeTooLong) {
  config->pool->connect_timeout = milliseconds(60);
  // A listener whose queue is full does not answer.
  Backend backend(0);
  std::vector<Conn> fillers;
  sockaddr_storage storage{};
  const socklen_t length = backend.address.to_sockaddr(storage);
  for (int i = 0; i < 2; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)::connect(fd, reinterpret_cast<sockaddr*>(&storage), length);
    fillers.emplace_back(fd);
  }
  run_for(loop, milliseconds(20));
  Pool& pool = pool_at(backend.address);
  Request a, b;
  const Instant begin = MonotonicClock::now();
  a.start(pool);
  run_for(loop, milliseconds(30));
  b.start(pool);
  ASSERT_TRUE(run_until(loop, [&] { return bool(a.failure); }));
  EXPECT_GE(MonotonicClock::now() - begin, milliseconds(60));
  EXPECT_FALSE(b.failure) << "it began later";
  ASSERT_TRUE(run_until(loop, [&] { return bool(b.failure); }));
  EXPECT_GE(MonotonicClock::now() - begin, milliseconds(90));
  EXPECT_EQ(a.failure.kind, FailureKind::kConnectTimeout);
  EXPECT_EQ(stats->upstream_cx_connect_timeout.value(), 2u);
  EXPECT_EQ(stats->upstream_cx_connect_fail.value(), 2u);
  EXPECT_EQ(stats->upstream_cx_destroy_local.value(), 2u);
}

TEST_F(PoolTest, DropsAnIdleConnectionThatThePeerCloses) {
  Backend backend;
  Pool& pool = pool_at(backend.address);
  Conn conn = warm_up(backend, pool);
  EXPECT_EQ(pool.open_connections(), 1u);
  conn.close();
  ASSERT_TRUE(run_until(loop, [&] { return pool.is_empty(); }));
  EXPECT_EQ(stats->upstream_cx_destroy_remote.value(), 1u);
  EXPECT_EQ(stats->upstream_cx_destroy_with_active_rq.value(), 0u);
}

TEST_F(PoolTest, DropsAnIdleConnectionOnWhichThePeerSpeaks) {
  Backend backend;
  Pool& pool = pool_at(backend.address);
  Conn conn = warm_up(backend, pool);
  conn.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(run_until(loop, [&] { return pool.is_empty(); }));
  EXPECT_EQ(h1->unsolicited_bytes.value(), 1u);
  EXPECT_EQ(stats->upstream_cx_protocol_error.value(), 1u);
  EXPECT_EQ(stats->upstream_cx_destroy_local.value(), 1u);
}

TEST_F(PoolTest, ClosesIdleConnectionsAfterTheIdleTimeout) {
  config->pool->idle_timeout = milliseconds(40);
  Backend backend;
  Pool& pool = pool_at(backend.address);
  const Instant begin = MonotonicClock::now();
  Conn conn = warm_up(backend, pool);
  ASSERT_TRUE(run_until(loop, [&] { return pool.is_empty(); }));
  EXPECT_GE(MonotonicClock::now() - begin, milliseconds(40));
  EXPECT_TRUE(conn.is_closed());
  EXPECT_EQ(stats->upstream_cx_idle_timeout.value(), 1u);
  EXPECT_EQ(stats->upstream_cx_destroy_local.value(), 1u);
}

TEST_F(PoolTest, ForgetsACancelledWaiterAndKeepsItsConnection) {
  Backend backend;
  Pool& pool = pool_at(backend.address);
  Request a;
  a.start(pool);
  EXPECT_EQ(opened(pool), 1u);
  pool.cancel(a);
  pool.cancel(a);
  EXPECT_EQ(pool.waiting(), 0u);
  ASSERT_TRUE(run_until(loop, [&] { return count_of(stats->upstream_cx_connect_ms) == 1; }));
  EXPECT_FALSE(a.is_ready());
  Request b;
  b.start(pool);
  EXPECT_TRUE(b.is_ready()) << "the connection is idle";
  b.stream->reset();
}

TEST_F(PoolTest, ConnectsForNobodyWhoIsGoneAtTheEndOfTheTurn) {
  // Clients that cancel as fast as they ask must cost no connects (HTTP/2's rapid reset).
  Backend backend;
  Pool& pool = pool_at(backend.address);
  Request requests[20];
  for (Request& r : requests) r.start(pool);
  for (Request& r : requests) pool.cancel(r);
  run_for(loop, milliseconds(1));
  EXPECT_EQ(stats->upstream_cx_total.value(), 0u);
}

TEST_F(PoolTest, ConnectsForAFewOfEachPoolInATurn) {
  Backend backend(64), other;
  Cluster& cluster = set(hosts_at({backend.address, other.address}));
  Pool& pool = use(cluster).pool();
  Pool& late = use(cluster, 1).pool();
  Request requests[40], last;
  for (Request& r : requests) r.start(pool);
  last.start(late);
  EXPECT_EQ(opened(pool), io::Loop::kConnectsPerTurn - 1);
  EXPECT_EQ(late.open_connections(), 1u) << "who came first leaves room";
  EXPECT_EQ(opened(pool), 2 * io::Loop::kConnectsPerTurn - 1);
  ASSERT_TRUE(run_until(loop, [&] {
    return std::all_of(std::begin(requests), std::end(requests),
                       [](Request& r) { return r.is_ready(); });
  }));
  for (Request& r : requests) r.stream->reset();
  ASSERT_TRUE(run_until(loop, [&] { return last.is_ready(); }));
  last.stream->reset();
}

TEST_F(PoolTest, GivesAConnectToTheNextWaiterWhenItsOwnIsCancelled) {
  const Backend nobody(-1);
  Pool& pool = pool_at(nobody.address);
  Request a, b;
  a.start(pool);
  b.start(pool);
  EXPECT_EQ(opened(pool), 2u);
  pool.cancel(a);
  ASSERT_TRUE(run_until(loop, [&] { return stats->upstream_cx_connect_fail.value() == 2; }));
  EXPECT_TRUE(b.failure);
  EXPECT_EQ(stats->upstream_rq_pending_failure_eject.value(), 1u);
}

TEST_F(PoolTest, DrainsIdleAtOnceAndBusyAfterTheirExchange) {
  config->pool->limits.max_connections = 2;
  Backend backend;
  Pool& pool = pool_at(backend.address);
  Request busy, idle, waiting;
  busy.start(pool);
  idle.start(pool);
  ASSERT_TRUE(run_until(loop, [&] { return busy.is_ready() && idle.is_ready(); }));
  run_for(loop, milliseconds(1));
  Conn one = backend.accept();
  Conn two = backend.accept();
  one.read_head();
  two.read_head();
  one.respond();
  ASSERT_TRUE(run_until(loop, [&] { return busy.done || idle.done; }));
  pool.drain();
  EXPECT_TRUE(one.is_closed());
  EXPECT_EQ(pool.open_connections(), 1u);
  EXPECT_TRUE(two.is_open());
  two.respond();
  ASSERT_TRUE(run_until(loop, [&] { return busy.done && idle.done; }));
  EXPECT_TRUE(two.is_closed());
  EXPECT_TRUE(pool.is_empty());
}

TEST_F(PoolTest, ServesItsWaitersWhileItDrains) {
  config->pool->limits.max_connections = 1;
  Backend backend;
  Pool& pool = pool_at(backend.address);
  Request a, b, c;
  a.start(pool);
  ASSERT_TRUE(run_until(loop, [&] { return a.is_ready(); }));
  b.start(pool);
  c.start(pool);
  pool.drain();
  run_for(loop, milliseconds(1));
  Conn first = backend.accept();
  finish(first, a, "Connection: close\r\n");
  ASSERT_TRUE(run_until(loop, [&] { return b.is_ready(); }));
  run_for(loop, milliseconds(1));
  Conn second = backend.accept();
  finish(second, b);
  run_for(loop, milliseconds(1));
  finish(second, c);
  EXPECT_TRUE(pool.is_empty()) << "and keeps nothing";
  EXPECT_EQ(stats->upstream_cx_close_notify.value(), 1u);
}

TEST_F(PoolTest, KeepsNoConnectionThatWasMadeWhileDraining) {
  Backend backend;
  Pool& pool = pool_at(backend.address);
  Request a;
  a.start(pool);
  pool.cancel(a);
  pool.drain();
  EXPECT_TRUE(run_until(loop, [&] { return pool.is_empty(); }));
}

TEST_F(PoolTest, FailsEveryoneWhenItIsClosed) {
  config->pool->limits.max_connections = 1;
  Backend backend;
  Pool& pool = pool_at(backend.address);
  Request a, b;
  a.start(pool);
  ASSERT_TRUE(run_until(loop, [&] { return a.is_ready(); }));
  b.start(pool);
  pool.close_all({FailureKind::kHostRemoved});
  EXPECT_EQ(a.reset.kind, FailureKind::kHostRemoved);
  EXPECT_EQ(b.failure.kind, FailureKind::kHostRemoved);
  EXPECT_TRUE(pool.is_empty());
  EXPECT_EQ(stats->upstream_cx_destroy_local_with_active_rq.value(), 1u);
  Request c;
  c.start(pool);
  EXPECT_EQ(c.failure.kind, FailureKind::kHostRemoved);
}

TEST_F(PoolTest, ClosesAConnectionThatServedEnough) {
  config->pool->max_requests_per_connection = 2;
  Backend backend;
  Pool& pool = pool_at(backend.address);
  Conn conn = warm_up(backend, pool);
  Request b;
  b.start(pool);
  ASSERT_TRUE(b.is_ready());
  run_for(loop, milliseconds(1));
  finish(conn, b);
  EXPECT_TRUE(conn.is_closed());
  EXPECT_EQ(stats->upstream_cx_max_requests.value(), 1u);
  EXPECT_TRUE(pool.is_empty());
}

TEST_F(PoolTest, ClosesAConnectionThatLivedLongEnough) {
  config->pool->max_connection_duration = milliseconds(40);
  Backend backend;
  Pool& pool = pool_at(backend.address);
  Conn conn = warm_up(backend, pool);
  EXPECT_EQ(pool.open_connections(), 1u);
  ASSERT_TRUE(run_until(loop, [&] { return pool.is_empty(); }));
  EXPECT_EQ(stats->upstream_cx_max_duration_reached.value(), 1u);
  EXPECT_EQ(stats->upstream_cx_idle_timeout.value(), 0u);
}

TEST_F(PoolTest, TellsOfBrokenConnectionsAtDebugAndOfAllAtTrace) {
  testing::LogCapture log(log::Level::kDebug);
  const Backend nobody(-1);
  Request refused;
  refused.start(pool_at(nobody.address));
  ASSERT_TRUE(run_until(loop, [&] { return bool(refused.failure); }));
  EXPECT_EQ(
      log.count(str("[debug][pool] connect failed: cluster=c host=", nobody.address.to_string(),
                    " reason=\"delayed connect error: Connection refused\"\n")),
      1u)
      << log.text();

  Backend backend;
  Pool& pool = pool_at(backend.address);
  Conn idle = warm_up(backend, pool);
  Request broken;
  broken.start(pool);
  ASSERT_TRUE(run_until(loop, [&] { return broken.is_ready(); }));
  idle.close();
  ASSERT_TRUE(run_until(loop, [&] { return pool.is_empty(); }));
  EXPECT_EQ(log.count("[debug][pool] connection closed with an error: cluster=c host="), 1u)
      << log.text();
  EXPECT_EQ(log.count("[trace]"), 0u);

  log::set_level(log::Level::kTrace);
  warm_up(backend, pool).close();
  ASSERT_TRUE(run_until(loop, [&] { return pool.is_empty(); }));
  EXPECT_EQ(log.count("[trace][pool] connected: cluster=c host="), 1u) << log.text();
  EXPECT_EQ(log.count("[trace][pool] connection closed: cluster=c host="), 1u) << log.text();
}

TEST_F(PoolTest, CountsHowExchangesBreak) {
  struct Row {
    std::string_view response;  // then the backend closes
    uint64_t remote_active, local_active, protocol_errors;
    FailureKind reset;
  };
  const Row rows[] = {
      {"", 1, 0, 0, FailureKind::kUpstreamClosed},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", 1, 0, 1, FailureKind::kUpstreamTruncated},
      {"nonsense\r\n\r\n", 0, 1, 1, FailureKind::kUpstreamProtocol},
      {"HTTP/1.1 200 OK\r\n\r\nuntil the end", 0, 0, 0, FailureKind::kNone},
  };
  Backend backend;
  Pool& pool = pool_at(backend.address);
  uint64_t remote = 0, local = 0, errors = 0, destroyed = 0;
  for (const Row& row : rows) {
    Request r;
    r.start(pool);
    ASSERT_TRUE(run_until(loop, [&] { return r.is_ready(); }));
    run_for(loop, milliseconds(1));
    Conn conn = backend.accept();
    conn.read_head();
    if (!row.response.empty()) conn.send(row.response);
    conn.close();
    ASSERT_TRUE(run_until(loop, [&] { return pool.is_empty(); })) << row.response;
    EXPECT_EQ(r.reset.kind, row.reset) << row.response;
    EXPECT_EQ(stats->upstream_cx_destroy_remote_with_active_rq.value(),
              remote += row.remote_active);
    EXPECT_EQ(stats->upstream_cx_destroy_local_with_active_rq.value(), local += row.local_active);
    EXPECT_EQ(stats->upstream_cx_destroy_with_active_rq.value(), remote + local);
    EXPECT_EQ(stats->upstream_cx_protocol_error.value(), errors += row.protocol_errors);
    EXPECT_EQ(stats->upstream_cx_destroy.value(), ++destroyed);
    EXPECT_EQ(count_of(stats->upstream_cx_length_ms), destroyed);
  }
  EXPECT_EQ(h1->responses_truncated.value(), 1u);
  EXPECT_EQ(h1->responses_rejected_malformed.value(), 1u);
}

}  // namespace
}  // namespace pillion::upstream
