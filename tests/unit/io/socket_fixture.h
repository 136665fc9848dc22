#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "proxy/io/socket.h"
#include "tests/support/run_until.h"
#include "tests/support/sockets.h"

namespace pillion::io {

using namespace std::chrono_literals;
using testing::RecordingObserver;
using testing::run_for;
using testing::run_until;
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

}  // namespace pillion::io
