// Pools of HTTP/2: many requests on one connection, over real loopback sockets.
#include <fcntl.h>

#include <algorithm>
#include <functional>

#include "proxy/upstream/pool.h"
#include "tests/support/h2_peer.h"
#include "tests/unit/upstream/pool_fixture.h"

namespace pillion::upstream {
namespace {

using std::chrono::milliseconds;
using testing::H2Peer;

class PoolH2Test : public UpstreamTest {
 protected:
  PoolH2Test() { config->pool->protocol = UpstreamProtocol::kHttp2; }
  // The connection that waits at the backend, as a server on this loop.
  std::unique_ptr<H2Peer> accept(Backend& backend, const http::H2Options& options = {}) {
    Conn conn = backend.accept();
    const int fd = conn.release();
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    return std::make_unique<H2Peer>(loop, batch, io::Socket::adopt(loop, fd), options);
  }
  static http::H2Options with_streams(uint32_t n) {
    http::H2Options options;
    options.max_concurrent_streams = n;
    return options;
  }
  bool wait(const std::function<bool()>& condition) { return run_until(loop, condition); }
  // The pool at `backend` with one connection that has served a request.
  std::unique_ptr<H2Peer> warm_up_h2(Backend& backend, Pool& pool,
                                     const http::H2Options& options = {}) {
    Request request;
    request.start(pool);
    EXPECT_TRUE(wait([&] { return backend.has_waiting(); }));
    std::unique_ptr<H2Peer> peer = accept(backend, options);
    EXPECT_TRUE(wait([&] { return peer->streams.size() == 1 && peer->stream(0).ended; }));
    peer->respond(0);
    EXPECT_TRUE(wait([&] { return request.done; }));
    run_for(loop, milliseconds(1));
    return peer;
  }
  stats::BlockRef<stats::ClusterHttp2Stats> h2 = registry.block<stats::ClusterHttp2Stats>(0, "c");
};

TEST_F(PoolH2Test, ServesAllWhoWaitedOnOneConnection) {
  Backend backend;
  Pool& pool = pool_at(backend.address);
  Request requests[10];
  for (Request& r : requests) r.start(pool);
  EXPECT_EQ(pool.waiting(), 10u);
  EXPECT_EQ(opened(pool), 1u);
  ASSERT_TRUE(wait([&] { return requests[9].is_ready(); }));
  std::unique_ptr<H2Peer> peer = accept(backend);
  ASSERT_TRUE(wait([&] { return peer->streams.size() == 10; }));
  EXPECT_EQ(h2->streams_active.value(), 10);
  for (size_t i = 0; i < 10; ++i) peer->respond(i);
  ASSERT_TRUE(wait([&] {
    return std::all_of(std::begin(requests), std::end(requests), [](Request& r) { return r.done; });
  }));
  EXPECT_EQ(stats->upstream_cx_total.value(), 1u);
  EXPECT_EQ(stats->upstream_cx_http2_total.value(), 1u);
  EXPECT_EQ(stats->upstream_cx_http1_total.value(), 0u);
  EXPECT_EQ(stats->upstream_rq_pending_total.value(), 10u);
  EXPECT_EQ(h2->streams_active.value(), 0);
  Request more[2];
  Failure refused;
  http::ClientConnection* a = pool.acquire(more[0], &refused);
  ASSERT_NE(a, nullptr) << "one that is in use has room for more";
  more[0].send(*a);
  http::ClientConnection* b = pool.acquire(more[1], &refused);
  ASSERT_EQ(a, b);
  more[1].send(*b);
  more[0].stream->reset();
  more[1].stream->reset();
}

TEST_F(PoolH2Test, OpensAnotherConnectionWhenAllAreFull) {
  Backend backend;
  Pool& pool = pool_at(backend.address);
  std::unique_ptr<H2Peer> one = warm_up_h2(backend, pool, with_streams(2));
  Request requests[3];
  for (Request& r : requests) r.start(pool);
  EXPECT_TRUE(requests[0].is_ready());
  EXPECT_TRUE(requests[1].is_ready());
  EXPECT_FALSE(requests[2].is_ready());
  EXPECT_EQ(opened(pool), 2u);
  ASSERT_TRUE(wait([&] { return requests[2].is_ready(); }));
  std::unique_ptr<H2Peer> two = accept(backend, with_streams(2));
  ASSERT_TRUE(wait([&] { return two->streams.size() == 1; }));
  EXPECT_NE(requests[0].connection, requests[2].connection);
  for (Request& r : requests) r.stream->reset();
  EXPECT_EQ(stats->upstream_cx_total.value(), 2u);
}

TEST_F(PoolH2Test, OpensAllItNeedsWhenThePeerAllowsFewerThanWasHoped) {
  Backend backend;
  Pool& pool = pool_at(backend.address);
  std::vector<Request> requests(110);
  for (Request& r : requests) r.start(pool);
  EXPECT_EQ(opened(pool), 1u);
  ASSERT_TRUE(wait([&] { return requests[99].is_ready(); }));
  EXPECT_EQ(pool.waiting(), 10u);
  std::unique_ptr<H2Peer> peer = accept(backend, with_streams(2));
  EXPECT_TRUE(wait([&] { return pool.open_connections() > 5; }));
  EXPECT_EQ(pool.open_connections(), 6u) << "five more of two streams each, and at once";
  pool.close_all({FailureKind::kHostRemoved});
}

TEST_F(PoolH2Test, GivesANewConnectionNoMoreThanTheHostAllowedOnTheOnesBefore) {
  // Or whoever waits would go to the first that connects, and be refused there before its SETTINGS
  // are read; tried again on the next new one, the same.
  Backend backend;
  Pool& pool = pool_at(backend.address);
  std::unique_ptr<H2Peer> one = warm_up_h2(backend, pool, with_streams(2));
  Request requests[6];
  for (Request& r : requests) r.start(pool);
  EXPECT_EQ(opened(pool), 3u);
  ASSERT_TRUE(wait([&] {
    return std::all_of(std::begin(requests), std::end(requests),
                       [](Request& r) { return r.is_ready(); });
  }));
  for (const Request& r : requests) {
    EXPECT_EQ(std::count_if(std::begin(requests), std::end(requests),
                            [&](const Request& q) { return q.connection == r.connection; }),
              2);
  }
  for (Request& r : requests) r.stream->reset();
}

TEST_F(PoolH2Test, LimitsStreamsToWhatIsConfiguredToo) {
  config->pool->h2.max_concurrent_streams = 1;
  Backend backend;
  Pool& pool = pool_at(backend.address);
  Request a, b;
  a.start(pool);
  b.start(pool);
  EXPECT_EQ(opened(pool), 2u);
  ASSERT_TRUE(wait([&] { return a.is_ready() && b.is_ready(); }));
  EXPECT_NE(a.connection, b.connection);
  a.stream->reset();
  b.stream->reset();
}

TEST_F(PoolH2Test, WaitsForAPeerThatAllowsNoStreams) {
  Backend backend;
  Pool& pool = pool_at(backend.address);
  std::unique_ptr<H2Peer> peer = warm_up_h2(backend, pool, with_streams(1));
  Request first, second;
  first.start(pool);
  ASSERT_TRUE(wait([&] { return peer->streams.size() == 2; }));
  peer->set_max_streams(0);
  peer->respond(1);
  ASSERT_TRUE(wait([&] { return first.done; }));
  ASSERT_TRUE(wait([&] { return first.connection->max_streams() == 0; }));
  second.start(pool);
  run_for(loop, milliseconds(5));
  EXPECT_FALSE(second.is_ready());
  EXPECT_EQ(pool.open_connections(), 1u) << "no storm of connections";
  peer->set_max_streams(1);
  ASSERT_TRUE(wait([&] { return second.is_ready(); }));
  second.stream->reset();
}

TEST_F(PoolH2Test, GivesNoStreamToAConnectionThatSaidGoaway) {
  Backend backend;
  Pool& pool = pool_at(backend.address);
  std::unique_ptr<H2Peer> old = warm_up_h2(backend, pool);
  Request running;
  running.start(pool);
  ASSERT_TRUE(wait([&] { return old->streams.size() == 2; }));
  old->session.goaway(http::H2Error::kNone);
  old->flush();
  ASSERT_TRUE(wait([&] { return stats->upstream_cx_close_notify.value() == 1; }));
  Request next;
  next.start(pool);
  ASSERT_TRUE(wait([&] { return next.is_ready(); }));
  EXPECT_NE(next.connection, running.connection);
  old->respond(1);
  ASSERT_TRUE(wait([&] { return running.done; }));
  ASSERT_TRUE(wait([&] { return pool.open_connections() == 1; })) << "it closes after the last";
  next.stream->reset();
}

TEST_F(PoolH2Test, OpensAnotherForWhoWaitedForAConnectionThatIsGone) {
  Backend backend;
  Pool& pool = pool_at(backend.address);
  std::unique_ptr<H2Peer> old = warm_up_h2(backend, pool);
  old->session.goaway(http::H2Error::kNone);
  old->flush();
  old->close();
  Request request;
  // Whether the pool has read of the end by now is chance: both must do.
  request.start(pool);
  ASSERT_TRUE(wait([&] { return request.is_ready() || request.reset; }));
  ASSERT_TRUE(wait([&] { return backend.has_waiting() || request.reset; }));
  if (request.reset) {
    EXPECT_EQ(request.reset.row().retry, RetryClass::refused);
  } else {
    request.stream->reset();
  }
}

TEST_F(PoolH2Test, FailsAllWhoWaitForAConnectThatFails) {
  const Backend nobody(-1);
  Pool& pool = pool_at(nobody.address);
  Request requests[5];
  for (Request& r : requests) r.start(pool);
  EXPECT_EQ(opened(pool), 1u);
  ASSERT_TRUE(wait([&] { return bool(requests[4].failure); }));
  for (Request& r : requests) EXPECT_EQ(r.failure.kind, FailureKind::kConnectFailed);
  EXPECT_EQ(stats->upstream_rq_pending_failure_eject.value(), 5u);
  EXPECT_TRUE(pool.is_empty());
}

TEST_F(PoolH2Test, ClosesConnectionsThatAreIdleOldOrUsedUp) {
  config->pool->idle_timeout = std::chrono::seconds(2);
  config->pool->max_requests_per_connection = 3;
  Backend backend;
  Pool& pool = pool_at(backend.address);
  std::unique_ptr<H2Peer> peer = warm_up_h2(backend, pool);
  Request running;
  running.start(pool);
  ASSERT_TRUE(wait([&] { return peer->streams.size() == 2; }));
  loop.skip(std::chrono::seconds(5));
  run_for(loop, milliseconds(1));
  EXPECT_EQ(pool.open_connections(), 1u) << "it is in use";
  Request third, fourth;
  third.start(pool);
  EXPECT_TRUE(third.is_ready());
  fourth.start(pool);
  EXPECT_FALSE(fourth.is_ready()) << "the first has begun all that it may";
  EXPECT_EQ(stats->upstream_cx_max_requests.value(), 1u);
  ASSERT_TRUE(wait([&] { return fourth.is_ready(); }));
  running.stream->reset();
  third.stream->reset();
  ASSERT_TRUE(wait([&] { return pool.open_connections() == 1; }));
  fourth.stream->reset();
  run_for(loop, milliseconds(1));
  loop.skip(std::chrono::seconds(5));
  ASSERT_TRUE(wait([&] { return pool.open_connections() == 0; }));
  EXPECT_EQ(stats->upstream_cx_idle_timeout.value(), 1u);
}

TEST_F(PoolH2Test, OpensAllItNeedsWhenConnectionsServeFewRequestsEach) {
  config->pool->max_requests_per_connection = 2;
  Backend backend;
  Pool& pool = pool_at(backend.address);
  Request requests[5];
  for (Request& r : requests) r.start(pool);
  EXPECT_EQ(opened(pool), 3u);
  ASSERT_TRUE(wait([&] {
    return std::all_of(std::begin(requests), std::end(requests),
                       [](Request& r) { return r.is_ready(); });
  })) << "nobody waits for another's end";
  for (Request& r : requests) r.stream->reset();
}

TEST_F(PoolH2Test, OpensAnotherConnectionBesideOneThatAllowsNoMoreStreams) {
  Backend backend;
  Pool& pool = pool_at(backend.address);
  std::unique_ptr<H2Peer> one = warm_up_h2(backend, pool, with_streams(1));
  Request a, b, c;
  a.start(pool);
  b.start(pool);
  ASSERT_TRUE(wait([&] { return b.is_ready() && backend.has_waiting(); }));
  std::unique_ptr<H2Peer> two = accept(backend, with_streams(1));
  one->set_max_streams(0);
  ASSERT_TRUE(wait([&] { return a.connection->max_streams() == 0; }));
  c.start(pool);
  ASSERT_TRUE(wait([&] { return c.is_ready(); })) << "the host does allow streams";
  for (Request* r : {&a, &b, &c}) r->stream->reset();
}

TEST_F(PoolH2Test, OpensAnotherConnectionWhenTheIdsOfOneAreUsedUp) {
  config->pool->h2.first_stream_id = 0x7fffffff - 2;
  Backend backend;
  Pool& pool = pool_at(backend.address);
  std::unique_ptr<H2Peer> peer = warm_up_h2(backend, pool);
  Request last, next;
  last.start(pool);
  ASSERT_TRUE(wait([&] { return peer->streams.size() == 2; }));
  EXPECT_EQ(peer->stream(1).id(), 0x7fffffff);
  next.start(pool);
  EXPECT_FALSE(next.is_ready()) << "two ids there were";
  ASSERT_TRUE(wait([&] { return next.is_ready(); }));
  EXPECT_NE(next.connection, last.connection);
  peer->respond(1);
  ASSERT_TRUE(wait([&] { return last.done && pool.open_connections() == 1; }));
  next.stream->reset();
}

TEST_F(PoolH2Test, RetiresAConnectionAtItsMaximumDuration) {
  config->pool->max_connection_duration = std::chrono::seconds(2);
  Backend backend;
  Pool& pool = pool_at(backend.address);
  std::unique_ptr<H2Peer> peer = warm_up_h2(backend, pool);
  Request running;
  running.start(pool);
  ASSERT_TRUE(wait([&] { return peer->streams.size() == 2; }));
  loop.skip(std::chrono::seconds(3));
  EXPECT_EQ(stats->upstream_cx_max_duration_reached.value(), 1u);
  EXPECT_EQ(pool.open_connections(), 1u);
  peer->respond(1);
  ASSERT_TRUE(wait([&] { return running.done && pool.open_connections() == 0; }));
}

TEST_F(PoolH2Test, DrainsAfterTheLastExchange) {
  Backend backend;
  Pool& pool = pool_at(backend.address);
  std::unique_ptr<H2Peer> peer = warm_up_h2(backend, pool);
  Request running;
  running.start(pool);
  ASSERT_TRUE(wait([&] { return peer->streams.size() == 2; }));
  pool.drain();
  EXPECT_EQ(pool.open_connections(), 1u);
  peer->respond(1);
  ASSERT_TRUE(wait([&] { return running.done && pool.open_connections() == 0; }));
}

TEST_F(PoolH2Test, CountsWhatIsWrongWithResponses) {
  Backend backend;
  Pool& pool = pool_at(backend.address);
  std::unique_ptr<H2Peer> peer = warm_up_h2(backend, pool);
  Request request;
  request.start(pool);
  ASSERT_TRUE(wait([&] { return peer->streams.size() == 2; }));
  peer->head(1, {{":status", "x"}}, true);
  ASSERT_TRUE(wait([&] { return bool(request.reset); }));
  EXPECT_EQ(request.reset.kind, FailureKind::kUpstreamProtocol);
  EXPECT_EQ(h2->rx_messaging_error.value(), 1u);
  EXPECT_EQ(h2->tx_reset.value(), 1u);
  EXPECT_EQ(stats->upstream_cx_protocol_error.value(), 1u);
  EXPECT_EQ(pool.open_connections(), 1u);
}

TEST_F(PoolH2Test, KeepsTwoPoolsWhereTheRequestChooses) {
  config->pool->protocol = UpstreamProtocol::kDownstream;
  Backend backend;
  Cluster& cluster = set(hosts_at({backend.address}));
  Host& host = use(cluster);
  Arena arena;
  http::RequestHead head(arena);
  head.protocol = http::Protocol::kHttp11;
  Pool& one = cluster.pool(host, head);
  head.protocol = http::Protocol::kHttp2;
  Pool& two = cluster.pool(host, head);
  EXPECT_NE(&one, &two);
  EXPECT_EQ(one.protocol(), PoolProtocol::kHttp1);
  EXPECT_EQ(two.protocol(), PoolProtocol::kHttp2);
  EXPECT_EQ(&two, &cluster.pool(host, head));
  Conn conn = warm_up(backend, one);
  std::unique_ptr<H2Peer> peer = warm_up_h2(backend, two);
  EXPECT_EQ(stats->upstream_cx_http1_total.value(), 1u);
  EXPECT_EQ(stats->upstream_cx_http2_total.value(), 1u);
  cluster.drain();
  ASSERT_TRUE(wait([&] { return two.is_empty() && one.is_empty(); }));
}

}  // namespace
}  // namespace pillion::upstream
