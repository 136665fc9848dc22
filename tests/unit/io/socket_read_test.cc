// Reading: when the socket enters epoll, pausing, what comes before an end.
#include "tests/unit/io/socket_fixture.h"

namespace pillion::io {
namespace {

using testing::receive;
using testing::send_all;

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

}  // namespace
}  // namespace pillion::io
