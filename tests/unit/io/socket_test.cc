#include "proxy/io/socket.h"

#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include <filesystem>

#include "tests/support/run_until.h"
#include "tests/support/sockets.h"

namespace pillion::io {
namespace {

using namespace std::chrono_literals;
using testing::Fd;
using testing::has_input;
using testing::receive;
using testing::RecordingObserver;
using testing::run_for;
using testing::run_until;
using testing::send_all;
using testing::TcpPair;

// A loop, and one accepted socket on it whose peer the test drives.
class SocketTest : public ::testing::Test {
 protected:
  void adopt() {
    socket_ = Socket::adopt(loop_, pair_.ours.release());
    observer_.transport = socket_.get();
    socket_->start(observer_);
  }
  // Reading began, found nothing, and so the socket is in epoll.
  void adopt_and_register() {
    adopt();
    socket_->read_again();
    loop_.run_once(false);
    ASSERT_EQ(loop_.counts.poll_changes, 1U);
  }
  bool log_becomes(std::string_view text) {
    return run_until(loop_, [&] { return observer_.log == text; }, 3s);
  }
  bool receives(size_t bytes) {
    return run_until(loop_, [&] { return observer_.received.size() >= bytes; }, 3s);
  }
  IoResult write(std::string_view bytes) {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    return socket_->write(&piece, 1);
  }
  // Until the kernel takes no more.
  size_t fill_up() {
    const std::string block(256 * 1024, 'x');
    size_t total = 0;
    for (;;) {
      const IoResult r = write(block);
      total += r.bytes;
      if (r.bytes < block.size()) return total;
    }
  }
  // Lets the peer take all that comes until the condition holds.
  template <typename Condition>
  bool drain_until(Condition&& condition) {
    const Instant limit = MonotonicClock::now() + 5s;
    do {
      char block[65536];
      while (pair_.peer.get() >= 0 &&
             ::recv(pair_.peer.get(), block, sizeof block, MSG_DONTWAIT) > 0) {
      }
    } while (!run_until(loop_, condition, 5ms) && MonotonicClock::now() < limit);
    return condition();
  }
  bool drain_until_log(std::string_view log) {
    return drain_until([&] { return observer_.log == log; });
  }

  Loop loop_;
  TcpPair pair_;
  RecordingObserver observer_;
  std::unique_ptr<Socket> socket_;
};

// --- Reading, and when the socket enters epoll ---------------------------------------------------

TEST_F(SocketTest, NeverEntersEpollInAShortExchange) {
  send_all(pair_.peer.get(), "GET /");
  adopt();
  char text[100];
  const IoResult r = socket_->read(text, sizeof text);
  EXPECT_EQ(std::string_view(text, r.bytes), "GET /");
  EXPECT_EQ(write("200 OK").status, IoStatus::kOk);
  socket_->pause(PauseReason::kBusy);
  socket_->resume(PauseReason::kBusy);
  loop_.run_once(false);
  socket_->close();
  loop_.delete_later(std::move(socket_));
  loop_.run_once(false);
  EXPECT_EQ(receive(pair_.peer.get()), "200 OK");
  EXPECT_EQ(receive(pair_.peer.get()), "");
  EXPECT_EQ(loop_.counts.poll_changes, 0U);
  EXPECT_EQ(loop_.counts.reads, 1U);
  EXPECT_EQ(loop_.counts.writes, 1U);
}

TEST_F(SocketTest, EntersEpollAfterTenMillisecondsWithoutBeingAsked) {
  send_all(pair_.peer.get(), "one");
  adopt();
  socket_->read_again();
  loop_.run_once(false);
  EXPECT_EQ(observer_.received, "one");
  EXPECT_EQ(loop_.counts.poll_changes, 0U);
  ASSERT_TRUE(run_until(loop_, [&] { return loop_.counts.poll_changes == 1; }, 1s));
  send_all(pair_.peer.get(), "two");
  EXPECT_TRUE(receives(6));
  EXPECT_EQ(loop_.counts.poll_changes, 1U);
}

TEST_F(SocketTest, IsReadEvenIfItsUserNeverAskedForTheFirstRead) {
  send_all(pair_.peer.get(), "early");
  adopt();
  EXPECT_TRUE(receives(5));
}

TEST_F(SocketTest, KeepsItsRegistrationOverManyExchanges) {
  adopt_and_register();
  for (int i = 0; i < 50; ++i) {
    send_all(pair_.peer.get(), "ping");
    ASSERT_TRUE(receives(static_cast<size_t>(4 * (i + 1))));
    socket_->pause(PauseReason::kBusy);
    EXPECT_EQ(write("pong").bytes, 4U);
    socket_->resume(PauseReason::kBusy);
    socket_->watch();
    EXPECT_EQ(receive(pair_.peer.get()), "pong");
  }
  EXPECT_EQ(loop_.counts.poll_changes, 1U);
}

TEST_F(SocketTest, ReportsBytesThenTheEndOnce) {
  adopt_and_register();
  send_all(pair_.peer.get(), "last words");
  ::shutdown(pair_.peer.get(), SHUT_WR);
  EXPECT_TRUE(log_becomes("eof "));
  EXPECT_EQ(observer_.received, "last words");
  const uint64_t turns = loop_.counts.turns;
  run_for(loop_, 100ms);
  EXPECT_EQ(observer_.log, "eof ") << "a FIN is level-triggered";
  EXPECT_LE(loop_.counts.turns - turns, 10U) << "and may not spin the loop";
  EXPECT_EQ(write("still open this way").bytes, 19U);
  EXPECT_EQ(receive(pair_.peer.get()), "still open this way");
}

TEST_F(SocketTest, ReachesAResetThroughAllTheBytesBeforeIt) {
  adopt_and_register();
  observer_.chunk = 1000;
  const std::string bytes(100'000, 'x');
  send_all(pair_.peer.get(), bytes);
  pair_.peer.abort();
  EXPECT_TRUE(log_becomes("error ")) << observer_.log << observer_.received.size();
  EXPECT_EQ(socket_->failure().kind, FailureKind::kDownstreamReset);
  // The kernel tells of a reset once and then says "end of stream".
  char byte;
  EXPECT_EQ(socket_->read(&byte, 1).status, IoStatus::kError);
}

TEST_F(SocketTest, ReachesAResetWhenItsUserPausesInBetween) {
  adopt_and_register();
  observer_.chunk = 10'000;
  observer_.then = [&] { socket_->pause(PauseReason::kPeerFull); };
  send_all(pair_.peer.get(), std::string(100'000, 'x'));
  pair_.peer.abort();
  for (int i = 0; i < 100 && observer_.log.empty(); ++i) {
    run_until(loop_, [&] { return observer_.readables > i || !observer_.log.empty(); }, 200ms);
    socket_->resume(PauseReason::kPeerFull);
  }
  EXPECT_TRUE(observer_.log == "error " || observer_.log == "closed ") << observer_.log;
}

TEST_F(SocketTest, DeliversToTheObserverThatTookOver) {
  adopt_and_register();
  RecordingObserver second;
  second.transport = socket_.get();
  socket_->start(second);
  send_all(pair_.peer.get(), "for you");
  EXPECT_TRUE(run_until(loop_, [&] { return second.received == "for you"; }));
  EXPECT_EQ(observer_.received, "");
}

// --- Pausing
// --------------------------------------------------------------------------------------

TEST_F(SocketTest, DeliversNothingWhilePausedAndAllAfterwards) {
  adopt_and_register();
  const int before = observer_.readables;
  socket_->pause(PauseReason::kPeerFull);
  socket_->pause(PauseReason::kFilter);
  send_all(pair_.peer.get(), "waits");
  run_for(loop_, 50ms);
  EXPECT_EQ(observer_.readables, before);
  socket_->resume(PauseReason::kPeerFull);
  run_for(loop_, 50ms);
  EXPECT_EQ(observer_.readables, before) << "one reason is left";
  socket_->resume(PauseReason::kFilter);
  EXPECT_TRUE(receives(5));
}

TEST_F(SocketTest, ResumesWhenReadingWasNeverArmed) {
  // A read was due when the pause came: nothing but resume() can bring it back.
  adopt();
  socket_->read_again();
  socket_->pause(PauseReason::kBusy);
  loop_.run_once(false);
  EXPECT_EQ(observer_.readables, 0);
  send_all(pair_.peer.get(), "waits");
  socket_->resume(PauseReason::kBusy);
  EXPECT_TRUE(receives(5));
}

TEST_F(SocketTest, KeepsAReadAgainThatFellIntoAPause) {
  adopt_and_register();
  observer_.chunk = 3;
  send_all(pair_.peer.get(), "abcdef");
  EXPECT_TRUE(receives(3));
  const int before = observer_.readables;
  socket_->read_again();
  socket_->pause(PauseReason::kFilter);
  loop_.run_once(false);
  EXPECT_EQ(observer_.readables, before);
  socket_->resume(PauseReason::kFilter);
  EXPECT_TRUE(receives(6));
}

TEST_F(SocketTest, HearsOfAResetWhilePaused) {
  for (const bool was_registered : {true, false}) {
    pair_ = TcpPair();
    observer_.log.clear();
    if (was_registered) {
      adopt();
      socket_->read_again();
      loop_.run_once(false);
      socket_->pause(PauseReason::kPeerFull);
    } else {
      adopt();
      socket_->pause(PauseReason::kPeerFull);
      socket_->read_again();
    }
    send_all(pair_.peer.get(), "nobody reads this");
    run_for(loop_, 30ms);
    EXPECT_EQ(observer_.log, "");
    pair_.peer.abort();
    EXPECT_TRUE(log_becomes("closed ")) << was_registered;
    EXPECT_EQ(observer_.failure.kind, FailureKind::kDownstreamReset);
    EXPECT_EQ(observer_.failure.detail, ECONNRESET);
    socket_->close();
  }
}

TEST_F(SocketTest, HoldsAFinWhilePausedWithoutSpinning) {
  adopt_and_register();
  socket_->pause(PauseReason::kPeerFull);
  send_all(pair_.peer.get(), "text");
  ::shutdown(pair_.peer.get(), SHUT_WR);
  run_for(loop_, 30ms);
  const uint64_t turns = loop_.counts.turns;
  run_for(loop_, 100ms);
  EXPECT_LE(loop_.counts.turns - turns, 10U);
  EXPECT_EQ(observer_.log, "");
  socket_->resume(PauseReason::kPeerFull);
  EXPECT_TRUE(log_becomes("eof "));
  EXPECT_EQ(observer_.received, "text");
}

TEST_F(SocketTest, HearsOfAResetThatFollowsAFin) {
  for (const bool paused_at_fin : {true, false}) {
    pair_ = TcpPair();
    observer_.log.clear();
    adopt();
    socket_->read_again();
    if (!paused_at_fin)
      observer_.then = [&] {
        if (observer_.log == "eof ") socket_->pause(PauseReason::kBusy);
      };
    loop_.run_once(false);
    if (paused_at_fin) socket_->pause(PauseReason::kBusy);
    ::shutdown(pair_.peer.get(), SHUT_WR);
    run_for(loop_, 50ms);
    EXPECT_EQ(observer_.log, paused_at_fin ? "" : "eof ");
    observer_.then = {};
    observer_.log.clear();
    pair_.peer.abort();
    EXPECT_TRUE(log_becomes("closed ")) << paused_at_fin;
    socket_->close();
  }
}

TEST_F(SocketTest, DoesNotSpinWhenBothDirectionsHaveEndedAndNobodyReads) {
  adopt_and_register();
  socket_->pause(PauseReason::kBusy);
  socket_->shutdown_write();
  ::shutdown(pair_.peer.get(), SHUT_WR);
  run_for(loop_, 50ms);
  const uint64_t turns = loop_.counts.turns;
  run_for(loop_, 100ms);
  EXPECT_LE(loop_.counts.turns - turns, 10U);
}

// --- Writing
// --------------------------------------------------------------------------------------

TEST_F(SocketTest, TellsOnceThatThereIsRoomAgain) {
  adopt_and_register();
  fill_up();
  EXPECT_EQ(loop_.counts.poll_changes, 2U);
  fill_up();
  EXPECT_EQ(loop_.counts.poll_changes, 2U) << "still armed";
  run_for(loop_, 30ms);
  EXPECT_EQ(observer_.log, "");
  EXPECT_TRUE(drain_until_log("writable "));
  EXPECT_EQ(loop_.counts.poll_changes, 3U);
  run_for(loop_, 30ms);
  EXPECT_EQ(observer_.log, "writable ");
}

TEST_F(SocketTest, StaysArmedWhenTheWriterFillsItAgain) {
  adopt_and_register();
  fill_up();
  int rounds = 0;
  observer_.then = [&] {
    if (!observer_.log.empty() && rounds < 3) {
      ++rounds;
      fill_up();
    }
  };
  const uint64_t changes = loop_.counts.poll_changes;
  EXPECT_TRUE(drain_until_log("writable writable writable writable "));
  EXPECT_EQ(loop_.counts.poll_changes, changes + 1) << "only the last one disarms";
}

TEST_F(SocketTest, WritesWhilePausedAndFilled) {
  adopt_and_register();
  socket_->pause(PauseReason::kPeerFull);
  send_all(pair_.peer.get(), "unread");
  run_for(loop_, 20ms);
  fill_up();
  EXPECT_TRUE(drain_until_log("writable "));
  EXPECT_EQ(observer_.received, "");
}

TEST_F(SocketTest, GathersPiecesAndFailsAfterAReset) {
  adopt_and_register();
  const iovec pieces[] = {{const_cast<char*>("ab"), 2}, {const_cast<char*>("cd"), 2}};
  EXPECT_EQ(socket_->write(pieces, 2).bytes, 4U);
  EXPECT_EQ(receive(pair_.peer.get()), "abcd");
  pair_.peer.abort();
  EXPECT_EQ(socket_->write(pieces, 2).status, IoStatus::kError);
  EXPECT_EQ(socket_->failure().kind, FailureKind::kDownstreamReset);
}

// --- Closing
// --------------------------------------------------------------------------------------

TEST_F(SocketTest, ClosesInEachOfItsCallbacks) {
  const auto close_now = [&] {
    socket_->close();
    loop_.delete_later(std::move(socket_));
    observer_.transport = nullptr;
  };
  for (const char* how : {"readable", "eof", "reset", "paused reset", "writable and readable"}) {
    SCOPED_TRACE(how);
    const std::string_view what = how;
    pair_ = TcpPair();
    observer_.log.clear();
    observer_.then = {};
    adopt();
    socket_->read_again();
    loop_.run_once(false);
    if (what == "paused reset") socket_->pause(PauseReason::kBusy);
    if (what.starts_with("writable")) {
      fill_up();
      send_all(pair_.peer.get(), "x");
      static_cast<void>(receive(pair_.peer.get(), 4 << 20));
    }
    if (what == "readable") send_all(pair_.peer.get(), "x");
    if (what == "eof") ::shutdown(pair_.peer.get(), SHUT_WR);
    if (what.ends_with("reset")) pair_.peer.abort();
    observer_.then = close_now;
    EXPECT_TRUE(drain_until([&] { return socket_ == nullptr; }));
    const std::string log = observer_.log;
    const int readables = observer_.readables;
    run_for(loop_, 20ms);
    EXPECT_EQ(observer_.log, log) << "no callback after close()";
    EXPECT_EQ(observer_.readables, readables);
  }
}

TEST_F(SocketTest, IgnoresCallsAfterClose) {
  adopt_and_register();
  socket_->pause(PauseReason::kBusy);
  socket_->close();
  socket_->close(Transport::CloseMode::kReset);
  socket_->read_again();
  socket_->resume(PauseReason::kBusy);
  socket_->watch();
  socket_->shutdown_write();
  const int before = observer_.readables;
  run_for(loop_, 20ms);
  EXPECT_EQ(observer_.readables, before);
  EXPECT_EQ(receive(pair_.peer.get()), "");
}

TEST_F(SocketTest, ClosesInOrderOrWithAReset) {
  adopt();
  socket_->close(Transport::CloseMode::kReset);
  EXPECT_EQ(receive(pair_.peer.get()), "RST");
  pair_ = TcpPair();
  adopt();
  socket_->close();
  EXPECT_EQ(receive(pair_.peer.get()), "");
}

// --- Refused by epoll
// -----------------------------------------------------------------------------

TEST_F(SocketTest, EndsLikeAfterAResetWhenEpollRefusesIt) {
  // The loop's end asserts that nothing is left in it.
  adopt();
  testing::make_unwatchable(socket_->raw_fd());
  socket_->watch();
  EXPECT_EQ(observer_.log, "") << "no callback inside a call";
  EXPECT_TRUE(log_becomes("closed "));
  EXPECT_EQ(observer_.failure.kind, FailureKind::kDownstreamReset);
  EXPECT_EQ(observer_.failure.detail, EPERM);
  run_for(loop_, 20ms);
  EXPECT_EQ(observer_.log, "closed ") << "once";
}

TEST_F(SocketTest, EndsWhenEpollRefusesItTenMillisecondsAfterItWasDrained) {
  adopt();
  testing::make_unwatchable(socket_->raw_fd());
  EXPECT_TRUE(log_becomes("closed "));
}

TEST_F(SocketTest, EndsWhilePausedWhenEpollRefusesAChange) {
  adopt_and_register();
  testing::make_unwatchable(socket_->raw_fd());
  socket_->pause(PauseReason::kBusy);
  socket_->want_writable();
  EXPECT_TRUE(log_becomes("closed "));
  EXPECT_EQ(socket_->failure().kind, FailureKind::kDownstreamReset);
}

TEST_F(SocketTest, MayBeClosedBetweenARefusalAndItsNews) {
  adopt();
  testing::make_unwatchable(socket_->raw_fd());
  socket_->watch();
  observer_.read_once();
  EXPECT_EQ(observer_.log, "error ");
  socket_->close();
  run_for(loop_, 20ms);
  EXPECT_EQ(observer_.log, "error ");
}

// --- Connecting
// -----------------------------------------------------------------------------------

class ConnectTest : public SocketTest {
 protected:
  void connect(const Address& to, const Address& source = {}, const SocketOptions& options = {}) {
    socket_ = Socket::connect(loop_, to, source, options);
    observer_.transport = socket_.get();
    socket_->start(observer_);
    EXPECT_EQ(observer_.log, "") << "no callback inside start()";
  }
};

TEST_F(ConnectTest, TellsOfSuccessAndThenOfBytes) {
  Fd listener = testing::loopback_listener();
  connect(testing::local_address_of(listener.get()));
  EXPECT_TRUE(log_becomes("connected "));
  Fd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  EXPECT_EQ(socket_->peer_address(), testing::local_address_of(listener.get()));
  send_all(peer.get(), "welcome");
  EXPECT_TRUE(receives(7));
  EXPECT_EQ(write("thanks").bytes, 6U);
  EXPECT_EQ(receive(peer.get()), "thanks");
}

TEST_F(ConnectTest, TellsOfARefusal) {
  Fd listener = testing::loopback_listener();
  const Address address = testing::local_address_of(listener.get());
  listener.reset();
  connect(address);
  EXPECT_TRUE(log_becomes("closed "));
  EXPECT_EQ(observer_.failure.kind, FailureKind::kConnectFailed);
  EXPECT_EQ(observer_.failure.detail, ECONNREFUSED);
  EXPECT_FALSE(socket_->bind_failed());
}

TEST_F(ConnectTest, CanBeGivenUpWhileItHangs) {
  // A full queue of a listener that never accepts swallows further SYNs.
  Fd listener = testing::loopback_listener(1);
  const Address address = testing::local_address_of(listener.get());
  std::vector<std::unique_ptr<Socket>> others;
  std::vector<std::unique_ptr<RecordingObserver>> observers;
  for (int i = 0; i < 4; ++i) {
    others.push_back(Socket::connect(loop_, address, {}, {}));
    observers.push_back(std::make_unique<RecordingObserver>());
    others.back()->start(*observers.back());
  }
  run_for(loop_, 50ms);
  connect(address);
  run_for(loop_, 50ms);
  EXPECT_EQ(observer_.log, "") << "neither success nor failure";
  socket_->close();
  run_for(loop_, 20ms);
  EXPECT_EQ(observer_.log, "");
}

TEST_F(ConnectTest, BindsToASourceAndTellsIfItCannot) {
  Fd listener = testing::loopback_listener();
  const Address to = testing::local_address_of(listener.get());
  const Address source = Address::ipv4(0x7f000005, 0);
  connect(to, source);
  EXPECT_TRUE(log_becomes("connected "));
  EXPECT_EQ(socket_->local_address().ip_string(), "127.0.0.5");
  socket_->close();
  observer_.log.clear();
  connect(to, Address::ipv4(0xc0000201, 0));  // 192.0.2.1 is nobody's
  EXPECT_TRUE(log_becomes("closed "));
  EXPECT_EQ(observer_.failure.kind, FailureKind::kConnectLocal);
  EXPECT_EQ(observer_.failure.detail, EADDRNOTAVAIL);
  EXPECT_TRUE(socket_->bind_failed());
}

TEST_F(ConnectTest, TellsWhenDescriptorsRunOut) {
  // UBSan opens a pipe to look at a type for the first time: let it see these ones before.
  connect(Address());
  EXPECT_TRUE(log_becomes("closed "));
  socket_->close();
  observer_ = {};
  Fd listener = testing::loopback_listener();
  const Address to = testing::local_address_of(listener.get());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  connect(to);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(log_becomes("closed "));
  EXPECT_EQ(observer_.failure.kind, FailureKind::kConnectLocal);
  EXPECT_EQ(observer_.failure.detail, EMFILE);
}

TEST_F(ConnectTest, TellsWhenEpollRefusesIt) {
  Fd listener = testing::loopback_listener();
  socket_ = Socket::connect(loop_, testing::local_address_of(listener.get()), {}, {});
  observer_.transport = socket_.get();
  testing::make_unwatchable(socket_->raw_fd());
  socket_->start(observer_);
  EXPECT_EQ(observer_.log, "") << "no callback inside start()";
  EXPECT_TRUE(log_becomes("closed "));
  EXPECT_EQ(observer_.failure.kind, FailureKind::kConnectLocal);
  EXPECT_EQ(observer_.failure.detail, EPERM);
}

TEST_F(ConnectTest, RefusesAnAddressThatIsNone) {
  connect(Address());
  EXPECT_TRUE(log_becomes("closed "));
  EXPECT_NE(observer_.failure.kind, FailureKind::kNone);
}

TEST_F(ConnectTest, HearsOfBytesOnAUnixSocketWhichConnectsAtOnce) {
  const auto folder = std::filesystem::temp_directory_path();
  const std::string path = (folder / ("pillion_" + std::to_string(::getpid()) + ".sock")).string();
  for (const Address& address : {Address::unix_path(path), Address::unix_path("@" + path)}) {
    auto fd = open_listener(address, {});
    ASSERT_TRUE(fd) << fd.error();
    Fd listener(*fd);
    observer_ = {};
    connect(address);
    EXPECT_TRUE(log_becomes("connected ")) << address.to_string();
    Fd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    // Nobody called watch().
    send_all(peer.get(), "bytes");
    EXPECT_TRUE(receives(5)) << address.to_string();
    peer.reset();
    EXPECT_TRUE(log_becomes("connected eof "));
    socket_->close();
  }
  std::filesystem::remove(path);
  observer_ = {};
  connect(Address::unix_path(path));
  EXPECT_TRUE(log_becomes("closed "));
  EXPECT_EQ(observer_.failure.kind, FailureKind::kConnectFailed);
}

TEST_F(ConnectTest, AppliesItsOptions) {
  Fd listener = testing::loopback_listener();
  SocketOptions options;
  options.user_timeout = 30s;
  options.keepalive = true;
  options.keepalive_probes = 3;
  options.keepalive_time_s = 60;
  options.keepalive_interval_s = 5;
  connect(testing::local_address_of(listener.get()), {}, options);
  EXPECT_TRUE(log_becomes("connected "));
  const auto option = [&](int level, int name) {
    int value = -1;
    socklen_t n = sizeof value;
    ::getsockopt(socket_->raw_fd(), level, name, &value, &n);
    return value;
  };
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPCNT), 3);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPIDLE), 60);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPINTVL), 5);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_USER_TIMEOUT), 30'000);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_NODELAY), 1);
}

}  // namespace
}  // namespace pillion::io
