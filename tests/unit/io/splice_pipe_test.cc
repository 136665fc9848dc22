#include "proxy/io/splice_pipe.h"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

#include "tests/support/sockets.h"

namespace pillion::io {
namespace {

using testing::receive;
using testing::send_all;
using testing::TcpPair;

class SplicePipeTest : public ::testing::Test {
 protected:
  SplicePipeTest() { static_cast<void>(std::signal(SIGPIPE, SIG_IGN)); }
  TcpPair from_, to_;
  SplicePipe pipe_;
};

size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

TEST_F(SplicePipeTest, MovesBytesFromSocketToSocket) {
  ASSERT_TRUE(pipe_.open());
  EXPECT_EQ(pipe_.fill(from_.ours.get()).status, IoStatus::kAgain);
  send_all(from_.peer.get(), "through the kernel");
  const IoResult in = pipe_.fill(from_.ours.get());
  EXPECT_EQ(in.bytes, 18U);
  EXPECT_EQ(pipe_.size(), 18U);
  EXPECT_EQ(pipe_.drain(to_.ours.get()).bytes, 18U);
  EXPECT_EQ(pipe_.size(), 0U);
  EXPECT_EQ(receive(to_.peer.get()), "through the kernel");
}

TEST_F(SplicePipeTest, HoldsWhatTheSocketDoesNotTake) {
  ASSERT_TRUE(pipe_.open());
  const std::string block(60'000, 'x');
  size_t sent = 0;
  for (int i = 0; i < 1000 && pipe_.size() == 0; ++i) {
    send_all(from_.peer.get(), block);
    const IoResult in = pipe_.fill(from_.ours.get());
    sent += in.bytes;
    EXPECT_EQ(pipe_.drain(to_.ours.get()).status, IoStatus::kOk);
  }
  ASSERT_GT(pipe_.size(), 0U) << "the receiver never filled up";
  size_t got = 0;
  while (got < sent) {
    got += receive(to_.peer.get()).size();
    EXPECT_EQ(pipe_.drain(to_.ours.get()).status, IoStatus::kOk);
  }
  EXPECT_EQ(got, sent);
  EXPECT_EQ(pipe_.size(), 0U);
}

TEST_F(SplicePipeTest, TellsOfEndAndErrors) {
  ASSERT_TRUE(pipe_.open());
  send_all(from_.peer.get(), "x");
  ::shutdown(from_.peer.get(), SHUT_WR);
  EXPECT_EQ(pipe_.fill(from_.ours.get()).bytes, 1U);
  EXPECT_EQ(pipe_.fill(from_.ours.get()).status, IoStatus::kEof);
  to_.peer.abort();
  EXPECT_EQ(pipe_.drain(to_.ours.get()).status, IoStatus::kError);
  EXPECT_TRUE(pipe_.error() == ECONNRESET || pipe_.error() == EPIPE) << pipe_.error();
  TcpPair reset;
  SplicePipe other;
  ASSERT_TRUE(other.open());
  reset.peer.abort();
  EXPECT_EQ(other.fill(reset.ours.get()).status, IoStatus::kError);
  EXPECT_EQ(other.error(), ECONNRESET);
}

TEST_F(SplicePipeTest, ReusesEmptyPipesAndClosesOthers) {
  ASSERT_TRUE(pipe_.open());
  pipe_.release();
  const size_t before = open_descriptors();
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(pipe_.open());
    pipe_.release();
  }
  EXPECT_EQ(open_descriptors(), before) << "the pooled one";
  // Bytes of one connection must never reach another one.
  ASSERT_TRUE(pipe_.open());
  send_all(from_.peer.get(), "secret");
  ASSERT_EQ(pipe_.fill(from_.ours.get()).bytes, 6U);
  pipe_.release();
  SplicePipe next;
  ASSERT_TRUE(next.open());
  EXPECT_EQ(next.size(), 0U);
  TcpPair quiet;
  EXPECT_EQ(next.fill(quiet.ours.get()).status, IoStatus::kAgain);
  send_all(quiet.peer.get(), "hello");
  EXPECT_EQ(next.fill(quiet.ours.get()).bytes, 5U);
  EXPECT_EQ(next.drain(to_.ours.get()).bytes, 5U);
  EXPECT_EQ(receive(to_.peer.get()), "hello");
}

}  // namespace
}  // namespace pillion::io
