#include "proxy/io/poller.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "proxy/io/loop.h"
#include "tests/support/run_until.h"
#include "tests/support/sockets.h"

namespace pillion::io {
namespace {

// A descriptor that is readable for ever.
struct Ready final : Pollable {
  explicit Ready(Poller& p) : poller(p) { EXPECT_EQ(poller.add(*this, fd, EPOLLIN), 0); }
  ~Ready() { close(); }
  void close() {
    if (fd < 0) return;
    poller.remove(*this, fd);
    ::close(fd);
    fd = -1;
  }
  void on_poll(uint32_t events) override {
    EXPECT_EQ(events, static_cast<uint32_t>(EPOLLIN));
    ++events_seen;
    if (then) then();
  }
  void run_ready() override {}
  Poller& poller;
  int fd = ::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
  int events_seen = 0;
  std::function<void()> then;
};

TEST(Poller, DropsEventsOfThisBatchForWhatWasRemoved) {
  // Two are ready at once and whichever comes first closes the other, whose event is in the batch
  // already.
  Poller poller;
  Ready a(poller);
  Ready b(poller);
  a.then = [&] { b.close(); };
  b.then = [&] { a.close(); };
  EXPECT_FALSE(poller.poll(0));
  EXPECT_EQ(a.events_seen + b.events_seen, 1);
}

TEST(Poller, ChangesWhatIsAskedFor) {
  Poller poller;
  Ready ready(poller);
  EXPECT_EQ(poller.change(ready, ready.fd, 0), 0);
  poller.poll(0);
  EXPECT_EQ(ready.events_seen, 0);
  EXPECT_EQ(poller.change(ready, ready.fd, EPOLLIN), 0);
  poller.poll(0);
  EXPECT_EQ(ready.events_seen, 1);
}

TEST(Poller, SaysWhyADescriptorWasRefusedAndForgetsIt) {
  // What the kernel lacks on a busy node (ENOSPC, ENOMEM) arrives the same way as these two.
  Poller poller;  // asserts in the end that it watches nothing
  Ready ready(poller);
  const uint64_t before = Poller::refusals();
  EXPECT_EQ(poller.add(ready, -1, EPOLLIN), EBADF);
  const testing::Fd unwatched(::eventfd(0, EFD_CLOEXEC));
  EXPECT_EQ(poller.change(ready, unwatched.get(), EPOLLIN), ENOENT);
  EXPECT_EQ(Poller::refusals(), before + 2);
  poller.poll(0);
  EXPECT_EQ(ready.events_seen, 1) << "the one that is in stays";
}

TEST(Poller, TellsOfTheForeignDescriptorByItsResult) {
  Poller poller;
  const int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  poller.add_foreign(fd);
  EXPECT_FALSE(poller.poll(0));
  const uint64_t one = 1;
  ASSERT_EQ(::write(fd, &one, sizeof one), ssize_t{sizeof one});
  EXPECT_TRUE(poller.poll(0));
  ::close(fd);
}

TEST(Poller, ServesMoreDescriptorsThanFitInOneBatch) {
  Loop loop;
  std::vector<std::unique_ptr<Ready>> all;
  for (int i = 0; i < 600; ++i) all.push_back(std::make_unique<Ready>(loop.poller()));
  const auto served = [&] {
    return std::ranges::all_of(all, [](const auto& r) { return r->events_seen != 0; });
  };
  EXPECT_TRUE(testing::run_until(loop, served));
  EXPECT_LE(loop.counts.turns, 8U) << "the kernel goes round among them";
}

}  // namespace
}  // namespace pillion::io
