#include "proxy/core/tcp_relay.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <thread>

#include "proxy/io/socket.h"
#include "tests/support/fake_transport.h"
#include "tests/support/run_until.h"
#include "tests/support/sockets.h"

namespace pillion::core {
namespace {

using namespace std::chrono_literals;
using Side = TcpRelay::Side;
using testing::FakeTransport;
using testing::Fd;
using testing::run_for;
using testing::run_until;
using testing::TcpPair;

struct Outcome final : TcpRelay::Observer {
  void on_relayed(Side from, size_t bytes) override {
    EXPECT_FALSE(is_done);
    (from == Side::kDownstream ? sent : received) += bytes;
  }
  void on_relay_done(Side by, Failure f) override {
    EXPECT_FALSE(is_done) << "told twice";
    is_done = true;
    side = by;
    failure = f;
  }
  uint64_t sent = 0;
  uint64_t received = 0;
  bool is_done = false;
  Side side = Side::kDownstream;
  Failure failure;
};

// 1 MiB of noise: an error in order or content shows.
const std::string& noise() {
  static const std::string bytes = [] {
    std::mt19937_64 random(1);
    std::string text(1 << 20, '\0');
    for (char& c : text) c = static_cast<char>(random());
    return text;
  }();
  return bytes;
}

// --- Over transports in memory -------------------------------------------------------------------

struct FakeRelay {
  FakeRelay() {
    std::tie(client, downstream) = FakeTransport::make_pair(loop);
    std::tie(upstream, server) = FakeTransport::make_pair(loop);
  }
  ~FakeRelay() {
    relay.stop();
    for (FakeTransport* t : {client.get(), downstream.get(), upstream.get(), server.get()})
      t->close();
  }
  void start(std::string_view early = {}) { relay.start(*downstream, *upstream, early); }
  void turns(int n = 20) {
    for (int i = 0; i < n; ++i) loop.run_once(false);
  }
  static void write(FakeTransport& from, std::string_view bytes) {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    ASSERT_EQ(from.write(&piece, 1).bytes, bytes.size());
  }
  static std::string take(FakeTransport& at) {
    std::string all(at.unread().size(), '\0');
    all.resize(at.read(all.data(), all.size()).bytes);
    return all;
  }

  io::Loop loop;
  io::WriteBatch batch{loop};
  Outcome outcome;
  std::unique_ptr<FakeTransport> client, downstream, upstream, server;
  TcpRelay relay{batch, outcome};
};

TEST(TcpRelay, PassesBytesBothWaysAndEarlyOnesFirst) {
  FakeRelay r;
  r.write(*r.client, "and more");
  r.write(*r.server, "banner");
  r.start("early ");
  r.turns();
  EXPECT_EQ(r.take(*r.server), "early and more");
  EXPECT_EQ(r.take(*r.client), "banner");
  EXPECT_EQ(r.outcome.sent, 14U);
  EXPECT_EQ(r.outcome.received, 6U);
}

TEST(TcpRelay, PassesEarlyBytesBeforeAFinThatCameWithThem) {
  FakeRelay r;
  r.client->shutdown_write();
  r.start("all there was");
  r.turns();
  EXPECT_EQ(r.take(*r.server), "all there was");
  EXPECT_TRUE(r.server->peer_sent_fin());
  EXPECT_FALSE(r.outcome.is_done) << "the answer is still to come";
}

TEST(TcpRelay, PassesHalfClosesInBothOrders) {
  for (const bool client_first : {true, false}) {
    FakeRelay r;
    r.start();
    FakeTransport& first = client_first ? *r.client : *r.server;
    FakeTransport& second = client_first ? *r.server : *r.client;
    r.write(first, "request");
    first.shutdown_write();
    r.turns();
    EXPECT_EQ(r.take(second), "request");
    EXPECT_TRUE(second.peer_sent_fin());
    EXPECT_FALSE(r.outcome.is_done);
    r.write(second, "a late answer");
    r.turns();
    EXPECT_EQ(r.take(first), "a late answer");
    second.shutdown_write();
    r.turns();
    EXPECT_TRUE(first.peer_sent_fin());
    EXPECT_TRUE(r.outcome.is_done);
    EXPECT_FALSE(r.outcome.failure);
  }
}

TEST(TcpRelay, TellsWhichSideBroke) {
  for (const bool is_client : {true, false}) {
    FakeRelay r;
    r.start();
    r.turns();
    (is_client ? *r.client : *r.server).close(io::Transport::CloseMode::kReset);
    r.turns();
    EXPECT_TRUE(r.outcome.is_done);
    EXPECT_EQ(r.outcome.side, is_client ? Side::kDownstream : Side::kUpstream);
    EXPECT_EQ(r.outcome.failure.kind, FailureKind::kDownstreamReset);
  }
}

TEST(TcpRelay, StallsTheFastSideNotMemory) {
  FakeRelay r;
  r.server->window = 1000;
  r.client->window = r.downstream->window = 64 << 20;
  r.start();
  for (int i = 0; i < 20; ++i) r.write(*r.client, noise());
  r.turns(100);
  EXPECT_EQ(r.server->unread().size(), 1000U);
  EXPECT_GE(r.downstream->unread().size(), 20 * noise().size() - 2 * io::Loop::kScratchBytes)
      << "at most one scratch is held";
  std::string got;
  r.server->window = 100'000;
  for (int i = 0; i < 2000 && got.size() < 20 * noise().size(); ++i) {
    got += r.take(*r.server);
    r.turns(3);
  }
  ASSERT_EQ(got.size(), 20 * noise().size());
  for (size_t i = 0; i < 20; ++i)
    EXPECT_EQ(got.compare(i * noise().size(), noise().size(), noise()), 0);
}

TEST(TcpRelay, PassesAFinOnlyAfterTheBacklog) {
  FakeRelay r;
  r.server->window = 10;
  r.start();
  r.write(*r.client, "more than ten bytes");
  r.client->shutdown_write();
  r.turns();
  EXPECT_FALSE(r.server->peer_sent_fin());
  EXPECT_EQ(r.take(*r.server), "more than ");
  r.turns();
  EXPECT_EQ(r.take(*r.server), "ten bytes");
  r.turns();
  EXPECT_TRUE(r.server->peer_sent_fin());
}

TEST(TcpRelay, IsSilentAfterStop) {
  FakeRelay r;
  r.start();
  r.turns();
  r.relay.stop();
  r.write(*r.client, "nobody listens");
  r.client->close(io::Transport::CloseMode::kReset);
  r.turns();
  EXPECT_FALSE(r.outcome.is_done);
  EXPECT_EQ(r.outcome.sent, 0U);
}

// --- Over sockets
// ---------------------------------------------------------------------------------

// client <-> (downstream, upstream: the relay's) <-> server, as TcpProxy drives it.
struct SocketRelay {
  void start(std::string_view early = {}) {
    downstream = io::Socket::adopt(loop, clients.ours.release());
    upstream = io::Socket::adopt(loop, servers.ours.release());
    relay.start(*downstream, *upstream, early);
  }
  ~SocketRelay() {
    relay.stop();
    if (downstream) downstream->close();
    if (upstream) upstream->close();
  }
  // As TcpProxy ends it: a broken side's partner is reset.
  void close_when_done() {
    ASSERT_TRUE(run_until(loop, [&] { return outcome.is_done; }));
    const auto mode =
        outcome.failure ? io::Transport::CloseMode::kReset : io::Transport::CloseMode::kOrderly;
    downstream->close(mode);
    upstream->close(mode);
  }
  // Runs the loop while `peers` do blocking work on a thread.
  template <typename Work>
  void run_with(Work&& work) {
    std::atomic<bool> finished = false;
    std::thread thread([&] {
      work();
      finished = true;
      loop.stop();
    });
    while (!finished) loop.run();
    thread.join();
  }
  [[nodiscard]] int client() const { return clients.peer.get(); }
  [[nodiscard]] int server() const { return servers.peer.get(); }
  static std::string receive_all(int fd) {
    std::string all;
    for (;;) {
      const std::string part = testing::receive(fd);
      if (part.empty() || part == "RST" || part.starts_with("errno")) return all + part;
      all += part;
    }
  }

  io::Loop loop;
  io::WriteBatch batch{loop};
  Outcome outcome;
  TcpPair clients, servers;
  std::unique_ptr<io::Socket> downstream, upstream;
  TcpRelay relay{batch, outcome};
};

// Repeats the noise up to `size` bytes; both sides walk through it.
void send_noise(int fd, size_t size) {
  for (size_t at = 0; at < size;) {
    const size_t n = std::min(noise().size() - at % noise().size(), size - at);
    testing::send_all(fd, std::string_view(noise()).substr(at % noise().size(), n));
    at += n;
  }
}
size_t check_noise(int fd) {
  size_t at = 0;
  for (;;) {
    const std::string part = testing::receive(fd, 300'000);
    if (part.empty()) return at;
    for (size_t i = 0; i < part.size();) {
      const size_t n = std::min(noise().size() - (at + i) % noise().size(), part.size() - i);
      if (noise().compare((at + i) % noise().size(), n, part, i, n) != 0) {
        ADD_FAILURE() << "wrong bytes after " << at + i;
        return at;
      }
      i += n;
    }
    at += part.size();
  }
}

TEST(TcpRelayOverSockets, CarriesFiftyMegabytesEachWayUnchanged) {
  SocketRelay r;
  constexpr size_t kSize = 50'000'003;
  r.start();
  r.run_with([&] {
    std::thread up([&] {
      send_noise(r.client(), kSize);
      ::shutdown(r.client(), SHUT_WR);
    });
    std::thread down([&] {
      send_noise(r.server(), kSize);
      ::shutdown(r.server(), SHUT_WR);
    });
    std::thread at_server([&] { EXPECT_EQ(check_noise(r.server()), kSize); });
    EXPECT_EQ(check_noise(r.client()), kSize);
    for (std::thread* t : {&up, &down, &at_server}) t->join();
  });
  r.close_when_done();
  EXPECT_FALSE(r.outcome.failure);
  EXPECT_EQ(r.outcome.sent, kSize);
  EXPECT_EQ(r.outcome.received, kSize);
  // Spliced bytes are in no read(): had all been copied, it would be 400 full scratches at least.
  EXPECT_LT(r.loop.counts.reads, 2 * kSize / io::Loop::kScratchBytes / 2);
}

TEST(TcpRelayOverSockets, AnswersAfterAHalfCloseInBothOrders) {
  for (const bool client_first : {true, false}) {
    SocketRelay r;
    r.start();
    const int first = client_first ? r.client() : r.server();
    const int second = client_first ? r.server() : r.client();
    r.run_with([&] {
      testing::send_all(first, "question");
      ::shutdown(first, SHUT_WR);
      EXPECT_EQ(r.receive_all(second), "question");
      testing::send_all(second, "answer");
      ::shutdown(second, SHUT_WR);
      EXPECT_EQ(r.receive_all(first), "answer");
    });
    r.close_when_done();
    EXPECT_FALSE(r.outcome.failure);
  }
}

TEST(TcpRelayOverSockets, EndsAtEveryPointOfTheSwitchToSplice) {
  // Sizes around what makes a flow bulk, around a scratch, a pipe, and several of them.
  const size_t kEdges[] = {0,      1,       16'383,  16'384,    65'535,   65'536,
                           65'537, 262'144, 262'145, 1'048'577, 3'000'000};
  for (const size_t size : kEdges) {
    for (const bool fin_waits : {true, false}) {  // with the last bytes, or after all is relayed
      SocketRelay r;
      const size_t before = std::min<size_t>(size, 65'537);
      send_noise(r.client(), before);
      if (size == before && fin_waits) ::shutdown(r.client(), SHUT_WR);
      r.start();
      r.run_with([&] {
        std::thread sender([&] {
          std::string rest = noise() + noise() + noise();
          testing::send_all(r.client(), std::string_view(rest).substr(before, size - before));
          if (fin_waits) ::shutdown(r.client(), SHUT_WR);
        });
        if (!fin_waits) {
          for (size_t got = 0; got < size;) got += testing::receive(r.server(), 300'000).size();
          ::shutdown(r.client(), SHUT_WR);
          EXPECT_EQ(testing::receive(r.server()), "");
        } else {
          EXPECT_EQ(check_noise(r.server()), size);
        }
        ::shutdown(r.server(), SHUT_WR);
        EXPECT_EQ(r.receive_all(r.client()), "");
        sender.join();
      });
      r.close_when_done();
      EXPECT_FALSE(r.outcome.failure) << size;
      EXPECT_EQ(r.outcome.sent, size);
    }
  }
}

TEST(TcpRelayOverSockets, PassesAResetOnAsAReset) {
  enum class Phase { kIdle, kCopied, kSpliced, kHalfClosed, kStalled };
  for (const Phase phase :
       {Phase::kIdle, Phase::kCopied, Phase::kSpliced, Phase::kHalfClosed, Phase::kStalled}) {
    for (const bool is_client : {true, false}) {
      SCOPED_TRACE(static_cast<int>(phase) * 10 + is_client);
      SocketRelay r;
      r.start();
      Fd& breaking = is_client ? r.clients.peer : r.servers.peer;
      const int other = is_client ? r.server() : r.client();
      size_t to_read = 0;
      if (phase == Phase::kCopied)
        testing::send_all(breaking.get(), std::string(to_read = 10, 'x'));
      if (phase == Phase::kHalfClosed) ::shutdown(breaking.get(), SHUT_WR);
      if (phase == Phase::kSpliced) {
        to_read = 4 << 20;
        r.run_with([&] {
          std::thread sender([&] { send_noise(breaking.get(), to_read); });
          for (size_t got = 0; got < to_read;) got += testing::receive(other, 1 << 20).size();
          sender.join();
        });
      }
      if (phase == Phase::kStalled) {
        // Nobody reads at the other end: what waits is lost with the connection, as without us.
        const std::string block(1 << 20, 'x');
        for (int i = 0; i < 64; ++i) {
          static_cast<void>(
              ::send(breaking.get(), block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
          run_for(r.loop, 2ms);
        }
      }
      run_for(r.loop, 30ms);
      EXPECT_FALSE(r.outcome.is_done);
      breaking.abort();
      r.close_when_done();
      EXPECT_EQ(r.outcome.side, is_client ? Side::kDownstream : Side::kUpstream);
      EXPECT_EQ(r.outcome.failure.kind, FailureKind::kDownstreamReset);
      if (phase == Phase::kHalfClosed) {
        EXPECT_EQ(r.receive_all(other), "") << "the FIN came first";
        EXPECT_EQ(::send(other, "x", 1, MSG_NOSIGNAL), -1) << "and then the reset";
      } else {
        EXPECT_TRUE(r.receive_all(other).ends_with("RST"));
      }
    }
  }
}

TEST(TcpRelayOverSockets, StallsTheFastSideNotMemory) {
  SocketRelay r;
  r.start();
  const int64_t slabs = Slab::live();
  const std::string block(1 << 20, 'x');
  size_t sent = 0;
  int idle = 0;
  while (idle < 20) {
    const ssize_t n = ::send(r.client(), block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    idle = n > 0 ? 0 : idle + 1;
    if (n > 0) sent += static_cast<size_t>(n);
    run_for(r.loop, 2ms);
  }
  EXPECT_LE(r.outcome.sent, sent);
  // Ours: a scratch full of copies at most; the rest is the kernel's, sockets and one pipe.
  EXPECT_LE(static_cast<size_t>(Slab::live() - slabs) * Slab::kBytes,
            io::Loop::kScratchBytes + 2 * Slab::kBytes);
  const uint64_t turns = r.loop.counts.turns;
  run_for(r.loop, 50ms);
  EXPECT_LE(r.loop.counts.turns - turns, 10U) << "stalled, not spinning";
  r.run_with([&] {
    ::shutdown(r.client(), SHUT_WR);
    EXPECT_EQ(r.receive_all(r.server()).size(), sent);
  });
}

size_t pipes_open() {
  size_t pipes = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    pipes += std::filesystem::read_symlink(entry, error).string().starts_with("pipe:") ? 1 : 0;
  }
  return pipes;
}

TEST(TcpRelayOverSockets, HoldsNoPipeWhileNothingIsInIt) {
  const size_t before = pipes_open();
  {
    SocketRelay r[3];
    for (SocketRelay& relay : r) {
      relay.start();
      relay.run_with([&] {
        std::thread sender([&] { send_noise(relay.client(), 2 << 20); });
        for (size_t got = 0; got < 2 << 20;)
          got += testing::receive(relay.server(), 1 << 20).size();
        sender.join();
      });
    }
    EXPECT_LE(pipes_open(), before + 2 + 3 * 3)
        << "one pooled pipe serves all; libuv's own are three a loop";
  }
}

TEST(TcpRelayOverSockets, CostsOneReadAndOneWriteAMessage) {
  SocketRelay r;
  r.start();
  run_for(r.loop, 20ms);
  const io::Loop::Counts before = r.loop.counts;
  constexpr int kMessages = 200;
  r.run_with([&] {
    for (int i = 0; i < kMessages; ++i) {
      testing::send_all(r.client(), "ping");
      EXPECT_EQ(testing::receive(r.server()), "ping");
      testing::send_all(r.server(), "pong");
      EXPECT_EQ(testing::receive(r.client()), "pong");
    }
  });
  EXPECT_EQ(r.loop.counts.reads - before.reads, 2U * kMessages);
  EXPECT_EQ(r.loop.counts.writes - before.writes, 2U * kMessages);
  EXPECT_EQ(r.loop.counts.poll_changes - before.poll_changes, 0U);
}

TEST(TcpRelayOverSockets, CopiesSmallMessagesAgainAfterBulk) {
  SocketRelay r;
  r.start();
  r.run_with([&] {
    std::thread sender([&] { send_noise(r.client(), 8 << 20); });
    for (size_t got = 0; got < 8 << 20;) got += testing::receive(r.server(), 1 << 20).size();
    sender.join();
    for (int i = 0; i < 20; ++i) {
      testing::send_all(r.client(), "ping");
      EXPECT_EQ(testing::receive(r.server()), "ping");
    }
  });
  const uint64_t reads = r.loop.counts.reads;
  r.run_with([&] {
    testing::send_all(r.client(), "last");
    EXPECT_EQ(testing::receive(r.server()), "last");
  });
  EXPECT_EQ(r.loop.counts.reads, reads + 1);
}

}  // namespace
}  // namespace pillion::core
