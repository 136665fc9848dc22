#include "proxy/tls/handshake_queue.h"

#include <gtest/gtest.h>

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
  EXPECT_EQ(steps_.size(), 4u);
  std::vector<size_t> per_turn;
  while (steps_.size() < 11) {
    const size_t before = steps_.size();
    loop_.run_once(false);  // ends two turns: before and after waiting
    ASSERT_GT(steps_.size(), before) << "the loop does not sleep on it";
    EXPECT_LE(steps_.size() - before, 8u);
  }
  for (size_t i = 0; i < 11; ++i) EXPECT_EQ(steps_[i], i);
}

TEST_F(HandshakeQueueTest, NobodyOvertakesWhoWaits) {
  make(6);
  loop_.run_once(false);
  for (size_t i = 0; i < 5; ++i) ask(i);
  ask(5);
  EXPECT_EQ(steps_.size(), 4u);
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
  for (int i = 0; i < 4; ++i) loop_.run_once(false);
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
    for (int k = 0; k < 10; ++k) loop.run_once(false);
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

}  // namespace
}  // namespace pillion::tls
