// Writing, closing, and what happens when epoll refuses the socket.
#include "tests/unit/io/socket_fixture.h"

namespace pillion::io {
namespace {

using testing::receive;
using testing::send_all;

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

}  // namespace
}  // namespace pillion::io
