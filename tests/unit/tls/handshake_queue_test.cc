#include "proxy/tls/handshake_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "tests/unit/tls/transport_fixture.h"

namespace pillion::tls {
namespace {

struct Task final : HandshakeTask {
  explicit Task(std::function<void()> step) : step_(std::move(step)) {}
  void run_handshake() override { step_(); }
  std::function<void()> step_;
};

class HandshakeQueueTest : public ::testing::Test {
 protected:
  // Asks for a step of task `i`; made now or later, it lands in steps_.
  void ask(size_t i) {
    if (HandshakeQueue::of_thread().admit(loop_, *tasks_[i])) steps_.push_back(i);
  }
  void make(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      tasks_.push_back(std::make_unique<Task>([this, i] { steps_.push_back(i); }));
    }
  }
  io::Loop loop_;
  std::vector<size_t> steps_;
  std::vector<std::unique_ptr<Task>> tasks_;
};

TEST_F(HandshakeQueueTest, StepsBeyondTheBudgetWaitForTheNextTurnsInOrder) {
  make(11);
  loop_.run_once(false);
  for (size_t i = 0; i < 11; ++i) ask(i);
  EXPECT_EQ(steps_.size(), 1u);
  while (steps_.size() < 11) {
    const size_t before = steps_.size();
    loop_.run_once(false);
    ASSERT_EQ(steps_.size(), before + 1) << "the loop does not sleep on it";
  }
  for (size_t i = 0; i < 11; ++i) EXPECT_EQ(steps_[i], i);
}

TEST_F(HandshakeQueueTest, NobodyOvertakesWhoWaits) {
  make(6);
  loop_.run_once(false);
  for (size_t i = 0; i < 5; ++i) ask(i);
  ask(5);
  EXPECT_EQ(steps_.size(), 1u);
  ask(4);  // more of its bytes came while it waits: still one step
  while (steps_.size() < 6) loop_.run_once(false);
  EXPECT_EQ(steps_, (std::vector<size_t>{0, 1, 2, 3, 4, 5}));
}

TEST_F(HandshakeQueueTest, WhoIsDestroyedWaitsNoMore) {
  make(8);
  loop_.run_once(false);
  for (size_t i = 0; i < 8; ++i) ask(i);
  tasks_[4].reset();
  tasks_[5]->step_ = [this] {
    steps_.push_back(5);
    tasks_[6].reset();  // a step may end other connections
  };
  for (int i = 0; i < 10; ++i) loop_.run_once(false);
  EXPECT_EQ(steps_, (std::vector<size_t>{0, 1, 2, 3, 5, 7}));
}

TEST(HandshakeQueue, ServesOneLoopAfterAnother) {
  for (int i = 0; i < 3; ++i) {
    io::Loop loop;
    int steps = 0;
    std::vector<std::unique_ptr<Task>> tasks;
    for (int k = 0; k < 10; ++k) tasks.push_back(std::make_unique<Task>([&] { ++steps; }));
    for (auto& task : tasks) steps += HandshakeQueue::of_thread().admit(loop, *task) ? 1 : 0;
    if (i == 1) continue;  // some still wait when this loop ends
    for (int k = 0; k < 20; ++k) loop.run_once(false);
    EXPECT_EQ(steps, 10);
  }
}

// A storm of new connections: all are served, and no turn makes more steps than it may.
TEST(HandshakeStorm, AllAreServedAFewStepsATurn) {
  io::Loop loop;
  std::vector<std::unique_ptr<TlsPair>> pairs;
  const auto client = context(client_config());
  const auto server = context(server_config());
  for (int i = 0; i < 60; ++i) pairs.push_back(std::make_unique<TlsPair>(loop, client, server));
  for (auto& pair : pairs) pair->start();
  const auto connected = [&] {
    size_t n = 0;
    for (auto& pair : pairs)
      n += static_cast<size_t>(pair->client.connected + pair->server.connected);
    return n;
  };
  size_t before = 0;
  for (int turns = 0; connected() < 120; ++turns) {
    ASSERT_LT(turns, 1000);
    loop.run_once(false);
    EXPECT_LE(connected() - before, 2u * HandshakeQueue::kStepsPerTurn);
    before = connected();
  }
}

// Of an exchange on an open connection, measured in what does not depend on the machine: the turns
// that it takes, and the steps of others in each.
TEST(HandshakeStorm, OfAThousandDelaysAnOpenConnectionByAStepATurn) {
  io::Loop loop;
  const auto client = context(client_config());
  const auto server = context(server_config());
  TlsPair open(loop, client, server);
  ASSERT_TRUE(open.shake_hands(loop));
  open.server.when_readable = [&] { open.server.send("answer"); };
  const auto exchange = [&] {
    const size_t before = open.client.received.size();
    open.client.send("request");
    int turns = 0;
    while (open.client.received.size() == before && turns < 100) {
      loop.run_once(false);
      ++turns;
    }
    return turns;
  };
  exchange();
  const int quiet = exchange();
  std::vector<std::unique_ptr<TlsPair>> storm;
  for (int i = 0; i < 1000; ++i) storm.push_back(std::make_unique<TlsPair>(loop, client, server));
  for (auto& pair : storm) pair->start();
  const auto done = [&] {
    return std::count_if(storm.begin(), storm.end(), [](const auto& pair) {
      return pair->client.connected != 0 && pair->server.connected != 0;
    });
  };
  int exchanges = 0;
  while (done() < 1000 && exchanges < 20'000) {
    const auto before = done();
    ASSERT_LE(exchange(), quiet + 1);
    ++exchanges;
    // A handshake takes four steps; two ends may be done in one turn.
    ASSERT_LE(done() - before, 2 * (quiet + 1));
  }
  EXPECT_EQ(done(), 1000);
  EXPECT_GE(exchanges, 1000) << "the flow went on all the time";
}

}  // namespace
}  // namespace pillion::tls
