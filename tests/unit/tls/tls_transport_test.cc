// An open TlsTransport as an io::Transport: flow control, ends, failures, its owner's calls.
#include "tests/unit/tls/transport_fixture.h"

namespace pillion::tls {
namespace {

TEST_F(TransportTest, CarriesBytesBothWays) {
  connect();
  client().send("ping");
  ASSERT_TRUE(until([&] { return server().received == "ping"; }));
  server().send("pong");
  ASSERT_TRUE(until([&] { return client().received == "pong"; }));
}

TEST_F(TransportTest, ARequestCostsOneReadAndOneWriteBelow) {
  connect();
  settle();
  const uint64_t writes = pair->client_end->writes;
  const uint64_t reads = pair->server_end->reads;
  client().send("GET / HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(until([&] { return !server().received.empty(); }));
  EXPECT_EQ(pair->client_end->writes, writes + 1);
  EXPECT_EQ(pair->server_end->reads, reads + 1);
}

TEST_F(TransportTest, PiecesBecomeOneRecord) {
  connect();
  settle();
  const uint64_t before = pair->client_end->bytes_written;
  const std::string a = "GET / HTTP/1.1\r\n", b = "", c = "Host: a\r\n", d = "\r\n";
  const iovec pieces[] = {{const_cast<char*>(a.data()), a.size()},
                          {nullptr, 0},
                          {const_cast<char*>(c.data()), c.size()},
                          {const_cast<char*>(d.data()), d.size()}};
  const io::IoResult r = client().transport->write(pieces, 4);
  EXPECT_EQ(r.bytes, a.size() + c.size() + d.size());
  ASSERT_TRUE(until([&] { return server().received == a + c + d; }));
  EXPECT_EQ(pair->client_end->bytes_written - before, a.size() + c.size() + d.size() + 22)
      << "one record's overhead";
}

TEST_F(TransportTest, PiecesOfAnySizesArriveInOrder) {
  connect();
  const std::string all = pattern(200'000);
  const size_t sizes[] = {1, 0, 16383, 2, 16384, 0, 16385, 40'000, 5, 3, 32'768, 77, 50'000};
  std::vector<iovec> pieces;
  size_t at = 0;
  for (const size_t n : sizes) {
    pieces.push_back({const_cast<char*>(all.data()) + at, n});
    at += n;
  }
  const io::IoResult r = client().transport->write(pieces.data(), static_cast<int>(pieces.size()));
  EXPECT_EQ(r.bytes, at);
  EXPECT_TRUE(until([&] { return server().received.size() == at; }));
  EXPECT_EQ(server().received, all.substr(0, at));
}

// Each combination of how the bytes are delivered and how much the reader takes at once: whoever
// forgets to tell of bytes that were decrypted but not read stalls here.
TEST_F(TransportTest, LargeTransfersArriveWholeWhateverTheSizes) {
  struct Case {
    size_t window;
    size_t max_read;
    size_t read_size;
    size_t bytes;
  };
  const Case cases[] = {
      {1 << 20, SIZE_MAX, 256 * 1024, 3'000'000},
      {1 << 20, SIZE_MAX, 100, 100'000},
      {1000, SIZE_MAX, 64 * 1024, 300'000},
      {100, 50, 16 * 1024, 100'000},
      {50'000, 16'406, 16'384, 500'000},
      {1 << 20, 5, 1, 20'000},
      {40'000, 4096, 16'383, 500'000},
      {1 << 20, 128 * 1024, 128 * 1024, 2'000'000},
      {17'000, 17'000, 1 << 20, 500'000},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(::testing::Message()
                 << "window " << c.window << " max_read " << c.max_read << " read " << c.read_size);
    make();
    for (auto* end : {pair->client_end, pair->server_end}) {
      end->window = c.window;
      end->max_read = c.max_read;
    }
    client().read_size = server().read_size = c.read_size;
    ASSERT_TRUE(pair->shake_hands(loop));
    const std::string up = pattern(c.bytes);
    const std::string down(up.rbegin(), up.rend());
    client().send(up);
    server().send(down);
    ASSERT_TRUE(until([&] {
      return server().received.size() >= c.bytes && client().received.size() >= c.bytes;
    }));
    EXPECT_TRUE(server().received == up);
    EXPECT_TRUE(client().received == down);
    EXPECT_EQ(client().transport->pending_write(), 0u);
  }
}

TEST_F(TransportTest, ASlowReaderCostsABoundedAmount) {
  connect();
  pair->server_end->window = 10'000;
  server().reads_left = 0;
  const std::string much = pattern(2'000'000);
  client().send(much);
  settle();
  EXPECT_GT(client().unsent(), 1'800'000u);
  EXPECT_LE(client().transport->pending_write(), 80'000u);
  EXPECT_GT(client().transport->pending_write(), 0u);
  EXPECT_EQ(client().writables, 0);
  const iovec piece{const_cast<char*>(much.data()), much.size()};
  EXPECT_EQ(client().transport->write(&piece, 1).status, io::IoStatus::kAgain);
  server().reads_left = -1;
  server().transport->read_again();
  ASSERT_TRUE(until([&] { return server().received.size() == much.size(); }));
  EXPECT_TRUE(server().received == much);
  EXPECT_GT(client().writables, 0);
}

TEST_F(TransportTest, OnWritableComesWhenTheLastRecordIsOut) {
  connect();
  pair->server_end->window = 100;
  client().send(std::string(1000, 'a'));
  EXPECT_EQ(client().unsent(), 0u) << "all taken, most of it not sent yet";
  EXPECT_GT(client().transport->pending_write(), 0u);
  ASSERT_TRUE(until([&] { return client().writables != 0; }));
  EXPECT_EQ(client().transport->pending_write(), 0u);
}

TEST_F(TransportTest, APausedReaderIsToldNothingAndLosesNothing) {
  connect();
  server().read_size = 10;
  server().when_readable = [this] {
    if (server().received.size() == 10) server().transport->pause(io::PauseReason::kPeerFull);
  };
  client().send(std::string(5000, 'a'));
  client().transport->shutdown_write();
  settle();
  // 10 before the pause, and 10 of the notice that paused.
  EXPECT_EQ(server().received.size(), 20u);
  settle();
  EXPECT_EQ(server().received.size(), 20u);
  server().transport->resume(io::PauseReason::kPeerFull);
  ASSERT_TRUE(until([&] { return server().eof; }));
  EXPECT_EQ(server().received.size(), 5000u);
}

TEST_F(TransportTest, PausingWithinATurnLosesNothing) {
  connect();
  server().read_size = 100;
  server().when_readable = [this] {
    server().transport->pause(io::PauseReason::kBusy);
    server().transport->resume(io::PauseReason::kBusy);
  };
  client().send(pattern(50'000));
  EXPECT_TRUE(until([&] { return server().received.size() == 50'000; }));
}

// A reader with a budget leaves bytes on purpose, and asks for another notice itself.
TEST_F(TransportTest, ReadAgainTellsOfWhatWasLeft) {
  connect();
  server().reads_left = 0;
  client().send("abc");
  settle();
  EXPECT_EQ(server().received, "");
  server().reads_left = -1;
  server().transport->read_again();
  EXPECT_TRUE(until([&] { return server().received == "abc"; }));
}

TEST_F(TransportTest, AHandOverTellsTheNewObserverOfTheRest) {
  connect();
  client().read_size = 10;
  client().reads_left = 1;
  server().send(std::string(100, 'a'));
  settle();
  ASSERT_EQ(client().received.size(), 10u);
  client().reads_left = -1;
  client().transport->pause(io::PauseReason::kFilter);
  settle();
  client().transport->resume(io::PauseReason::kFilter);
  client().start();  // another observer, for all the transport knows
  EXPECT_TRUE(until([&] { return client().received.size() == 100; }));
}

TEST_F(TransportTest, CloseNotifyIsAnEndAndTheOtherDirectionGoesOn) {
  for (const Version version : {Version::kTls13, Version::kTls12}) {
    ContextConfig client_side = client_config();
    ContextConfig server_side = server_config();
    client_side.min_version = client_side.max_version = version;
    server_side.min_version = Version::kTls12;
    connect(client_side, server_side);
    client().send("request");
    client().transport->shutdown_write();
    ASSERT_TRUE(until([&] { return server().eof; }));
    EXPECT_EQ(server().received, "request");
    server().send(std::string(100'000, 'r'));
    server().transport->shutdown_write();
    ASSERT_TRUE(until([&] { return client().eof; }));
    EXPECT_EQ(client().received.size(), 100'000u);
    EXPECT_FALSE(client().broken);
    EXPECT_FALSE(server().broken);
  }
}

TEST_F(TransportTest, TheEndWaitsForWhatIsPending) {
  connect();
  pair->server_end->window = 1000;
  client().send(std::string(30'000, 'a'));
  client().transport->shutdown_write();
  EXPECT_FALSE(pair->server_end->peer_sent_fin());
  ASSERT_TRUE(until([&] { return server().eof; }));
  EXPECT_EQ(server().received.size(), 30'000u);
  EXPECT_TRUE(until([&] { return pair->server_end->peer_sent_fin(); }));
}

// RFC 9112, 9.8: a body that ends with a bare FIN is incomplete.
TEST_F(TransportTest, ABareFinIsATruncation) {
  connect();
  server().send("half of it");
  ASSERT_TRUE(until([&] { return !client().received.empty(); }));
  pair->client_end->inject_fin();
  pair->server_end->inject_fin();
  ASSERT_TRUE(until([&] { return client().broken && server().broken; }));
  EXPECT_FALSE(client().eof);
  EXPECT_EQ(client().failure.kind, FailureKind::kUpstreamTruncated);
  EXPECT_EQ(client().reason, "the connection ended without close_notify");
  EXPECT_EQ(server().failure.kind, FailureKind::kDownstreamClosed);
}

TEST_F(TransportTest, AFinInTheMiddleOfARecordIsATruncation) {
  connect();
  settle();
  client().transport->pause(io::PauseReason::kBusy);
  bool cut = false;
  pair->server_end->on_write = [&](std::string& bytes) {
    if (!std::exchange(cut, true)) bytes.resize(bytes.size() - 1);
  };
  server().send("not quite");
  pair->server_end->on_write = nullptr;  // close_notify comes when the test is over
  pair->client_end->inject_fin();
  client().transport->resume(io::PauseReason::kBusy);
  ASSERT_TRUE(until([&] { return client().broken; }));
  EXPECT_EQ(client().received, "");
  EXPECT_EQ(client().failure.kind, FailureKind::kUpstreamTruncated);
}

TEST_F(TransportTest, BytesBeforeATruncationAreDelivered) {
  connect();
  settle();
  server().send("all that came");
  pair->client_end->inject_fin();
  ASSERT_TRUE(until([&] { return client().broken; }));
  EXPECT_EQ(client().received, "all that came");
}

TEST_F(TransportTest, AResetIsAnError) {
  connect();
  server().send("before");
  pair->client_end->inject_reset();
  ASSERT_TRUE(until([&] { return client().broken; }));
  EXPECT_EQ(client().received, "before");
  EXPECT_EQ(client().failure.detail, 104);
  const iovec piece{const_cast<char*>("x"), 1};
  EXPECT_EQ(client().transport->write(&piece, 1).status, io::IoStatus::kError);
}

TEST_F(TransportTest, ADamagedRecordIsAnErrorWithAnAlert) {
  connect();
  settle();
  pair->client_end->on_write = [](std::string& bytes) {
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
  };
  client().send("soon damaged");
  ASSERT_TRUE(until([&] { return server().broken && client().broken; }));
  EXPECT_EQ(server().received, "");
  EXPECT_EQ(server().reason, "a record was damaged on its way");
  EXPECT_THAT(client().reason, HasSubstr("alert \"bad record mac\""));
  EXPECT_EQ(listener_stats.connection_error.value(), 1u);
}

TEST_F(TransportTest, PlainTextOnAnOpenConnectionIsRefused) {
  connect();
  settle();
  pair->server_end->inject("GET /injected HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(until([&] { return server().broken; }));
  EXPECT_EQ(server().received, "");
}

TEST_F(TransportTest, CallsAfterTheEndAreHarmless) {
  connect();
  server().transport->close();
  server().transport->close();
  server().transport->shutdown_write();
  server().transport->read_again();
  server().transport->pause(io::PauseReason::kBusy);
  server().transport->resume(io::PauseReason::kBusy);
  server().transport->watch();
  char byte;
  EXPECT_NE(server().transport->read(&byte, 1).status, io::IoStatus::kOk);
  const iovec piece{&byte, 1};
  EXPECT_EQ(server().transport->write(&piece, 1).bytes, 0u);
  ASSERT_TRUE(until([&] { return client().eof; })) << "close() ends in order";
  settle();
  EXPECT_EQ(server().closed, 0) << "callbacks stopped";
}

TEST_F(TransportTest, AResetByUsReachesThePeer) {
  connect();
  server().transport->close(io::Transport::CloseMode::kReset);
  ASSERT_TRUE(until([&] { return client().broken; }));
  EXPECT_FALSE(client().eof);
}

// Destroyed at any point: before and after the start, at each turn of the handshake, while open.
TEST_F(TransportTest, CanBeClosedInEveryState) {
  for (int turns = -1; turns < 12; ++turns) {
    for (const bool closes_client : {false, true}) {
      make();
      if (turns >= 0) pair->start();
      for (int i = 0; i < turns; ++i) loop.run_once(false);
      (closes_client ? client() : server()).destroy();
      settle();
      EXPECT_LE(client().closed, 1);
      EXPECT_LE(server().closed, 1);
    }
  }
}

TEST_F(TransportTest, CanBeDestroyedInsideEachCallback) {
  const auto run = [this](std::function<void()> TlsPeer::* callback, bool at_client, auto&& act) {
    make();
    TlsPeer& victim = at_client ? client() : server();
    bool called = false;
    victim.*callback = [&] {
      called = true;
      victim.destroy();
    };
    pair->server_end->window = 2000;
    pair->start();
    client().send(std::string(60'000, 'a'));
    act();
    EXPECT_TRUE(until([&] { return called; }));
    settle();
  };
  for (const bool at_client : {false, true}) {
    run(&TlsPeer::when_connected, at_client, [] {});
    run(&TlsPeer::when_readable, at_client,
        [this] { server().when_connected = [this] { server().send("x"); }; });
  }
  run(&TlsPeer::when_writable, true, [] {});
  run(&TlsPeer::when_closed, false, [this] { pair->server_end->inject("GET / HTTP/1.1\r\n\r\n"); });
  run(&TlsPeer::when_closed, true, [this] { pair->client_end->inject_reset(); });
}

}  // namespace
}  // namespace pillion::tls
