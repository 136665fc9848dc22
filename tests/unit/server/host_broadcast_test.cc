// Workers hear of endpoints once a turn of control, of each cluster's last ones.
#include "proxy/host_broadcast.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <algorithm>
#include <future>

#include "proxy/base/clock.h"
#include "proxy/base/str.h"
#include "tests/support/run_until.h"

namespace pillion {
namespace {

upstream::HostSetPtr hosts(size_t count) {
  upstream::Endpoints all(count);
  for (size_t i = 0; i < count; ++i)
    all[i].address = io::Address::ipv4(INADDR_LOOPBACK, static_cast<uint16_t>(i + 1));
  return upstream::make_host_set(all, nullptr);
}

// Two workers that have clusters "a" and "b", with a host each.
class HostBroadcastTest : public ::testing::Test {
 protected:
  HostBroadcastTest() {
    for (uint16_t i = 0; i < 2; ++i) {
      workers_.push_back(std::make_unique<Worker>(i, registry_, budget_, std::chrono::seconds(30)));
      workers_.back()->start();
    }
    apply(clusters({"a", "b"}, 1));
  }
  ~HostBroadcastTest() override {
    for (const auto& worker : workers_) worker->stop();
  }

  static std::shared_ptr<const WorkerUpdate> clusters(std::initializer_list<std::string_view> names,
                                                      size_t host_count) {
    auto update = std::make_shared<WorkerUpdate>();
    for (const std::string_view name : names) {
      auto config = std::make_shared<upstream::ClusterConfig>();
      config->name = name;
      update->clusters.push_back({std::move(config), hosts(host_count)});
    }
    return update;
  }
  void apply(const std::shared_ptr<const WorkerUpdate>& update) {
    for (const auto& worker : workers_) worker->post([update](Worker& w) { w.apply(update); });
  }
  // Of a cluster on all workers, "1 1", when they have taken what was posted.
  std::string seen(std::string_view cluster) {
    std::string out;
    for (const auto& worker : workers_) {
      std::promise<size_t> count;
      worker->post([&](Worker& w) { count.set_value(w.host_count(cluster)); });
      out += str(out.empty() ? "" : " ", count.get_future().get());
    }
    return out;
  }

  stats::Registry registry_;
  ConnectionBudget budget_;
  io::Loop loop_;
  std::vector<std::unique_ptr<Worker>> workers_;
  // Holds a worker up until the promise is kept, or broken.
  std::promise<void> hold_up(Worker& worker) {
    std::promise<void> go_on;
    worker.post([until = go_on.get_future().share()](Worker&) { until.wait(); });
    return go_on;
  }
  // Until all workers have taken what they were told.
  void settle() {
    loop_.run_once(false);
    EXPECT_TRUE(testing::run_until(loop_, [this] { return broadcast_.under_way() == 0; }));
  }

  Worker::FormerHosts former_;
  HostBroadcast broadcast_{loop_, workers_, [this](Worker::FormerHosts former) {
                             for (auto& set : former) former_.push_back(std::move(set));
                           }};
};

TEST_F(HostBroadcastTest, TellsAllWorkersWhenTheTurnGoesOn) {
  broadcast_.add("a", hosts(2));
  broadcast_.add("b", hosts(3));
  EXPECT_EQ(seen("a"), "1 1") << "more may come in this turn";
  loop_.run_once(false);
  EXPECT_EQ(seen("a"), "2 2");
  EXPECT_EQ(seen("b"), "3 3");
}

TEST_F(HostBroadcastTest, OfAClusterThatChangesTwiceTheLastHostsCount) {
  broadcast_.add("a", hosts(2));
  broadcast_.add("a", hosts(5));
  broadcast_.add("a", hosts(4));
  loop_.run_once(false);
  EXPECT_EQ(seen("a"), "4 4");
}

TEST_F(HostBroadcastTest, IsFlushedBeforeAnUpdateThatKnowsMore) {
  broadcast_.add("a", hosts(2));
  broadcast_.flush();
  EXPECT_EQ(seen("a"), "2 2") << "at once";
  apply(clusters({"a"}, 7));
  loop_.run_once(false);
  EXPECT_EQ(seen("a"), "7 7") << "what was flushed does not come again behind the update";
}

TEST_F(HostBroadcastTest, GoesOnAfterAFlush) {
  broadcast_.add("a", hosts(2));
  broadcast_.flush();
  broadcast_.add("b", hosts(6));
  settle();
  EXPECT_EQ(seen("b"), "6 6");
  broadcast_.add("b", hosts(3));
  settle();
  EXPECT_EQ(seen("b"), "3 3");
}

TEST_F(HostBroadcastTest, AFormerSetIsHandedBackAndDoesNotDieOnAWorker) {
  broadcast_.add("a", hosts(2));
  settle();
  former_.clear();
  upstream::HostSetPtr set = hosts(3);
  const std::weak_ptr<const upstream::HostSet> former = set;
  broadcast_.add("a", std::exchange(set, nullptr));
  settle();
  broadcast_.add("a", hosts(4));
  loop_.run_once(false);
  EXPECT_EQ(seen("a"), "4 4");
  EXPECT_FALSE(former.expired()) << "the workers have others, and have freed nothing";
  settle();
  former_.clear();
  EXPECT_TRUE(former.expired());
}

TEST_F(HostBroadcastTest, ASetThatNoWorkerHasAUseForComesBackToo) {
  upstream::HostSetPtr set = hosts(3);
  const std::weak_ptr<const upstream::HostSet> unused = set;
  broadcast_.add("no such cluster", std::exchange(set, nullptr));
  loop_.run_once(false);
  (void)seen("a");
  EXPECT_FALSE(unused.expired());
  settle();
  EXPECT_TRUE(unused.expired());
}

TEST_F(HostBroadcastTest, AWorkerThatIsSlowGetsOneMessageForAllThatComesMeanwhile) {
  std::promise<void> go_on = hold_up(*workers_[0]);
  for (size_t i = 2; i < 12; ++i) {
    broadcast_.add("a", hosts(i));
    broadcast_.add_health("b");
    loop_.run_once(false);
    EXPECT_TRUE(testing::run_until(loop_, [this] { return broadcast_.under_way() == 1; }))
        << "the other one hears of each, this one of the first alone";
  }
  go_on.set_value();
  settle();
  EXPECT_EQ(seen("a"), "11 11");
  EXPECT_EQ(former_.size(), 10u + 2u)
      << "the fast one had each, the slow one the first and the last";
}

TEST_F(HostBroadcastTest, AnswersWakeNobodyWhereNothingWaitsForThem) {
  const Instant begin = MonotonicClock::now();
  broadcast_.add("a", hosts(2));
  loop_.run_once(false);
  EXPECT_EQ(seen("a"), "2 2");
  testing::run_for(loop_, std::chrono::milliseconds(50));
  const bool was_slow = MonotonicClock::now() - begin > std::chrono::seconds(1);
  EXPECT_TRUE(former_.empty() || was_slow);
  broadcast_.add("a", hosts(3));
  loop_.run_once(false);
  EXPECT_EQ(former_.size(), 2u) << "they are read with the next change";
  EXPECT_EQ(seen("a"), "3 3");
  EXPECT_TRUE(testing::run_until(loop_, [this] { return former_.size() == 4; }))
      << "or some time later";
}

TEST_F(HostBroadcastTest, AnAnswerThatComesLateIsReadAllTheSame) {
  broadcast_.add("a", hosts(2));
  loop_.run_once(false);
  testing::run_for(loop_, std::chrono::milliseconds(900));
  // The timer of the first change looks before the worker has answered the second.
  std::promise<void> go_on = hold_up(*workers_[0]);
  broadcast_.add("a", hosts(3));
  loop_.run_once(false);
  testing::run_for(loop_, std::chrono::milliseconds(200));
  go_on.set_value();
  EXPECT_TRUE(testing::run_until(loop_, [this] { return former_.size() == 4; }));
}

TEST_F(HostBroadcastTest, WhatWaitsForASlowWorkerIsToldAsSoonAsItAnswers) {
  // Once in five times is enough: the timer would take nearly a second, and this machine may too.
  Duration fastest = std::chrono::seconds(10);
  for (int attempt = 0; attempt < 5 && fastest > std::chrono::milliseconds(500); ++attempt) {
    std::promise<void> go_on = hold_up(*workers_[0]);
    for (size_t i = 2; i < 4; ++i) {
      broadcast_.add("a", hosts(i));
      loop_.run_once(false);
    }
    const Instant begin = MonotonicClock::now();
    go_on.set_value();
    EXPECT_TRUE(testing::run_until(loop_, [this] { return seen("a") == "3 3"; }));
    fastest = std::min(fastest, MonotonicClock::now() - begin);
    settle();
  }
  EXPECT_LT(fastest, std::chrono::milliseconds(500));
}

TEST_F(HostBroadcastTest, AFlushDoesNotWaitForASlowWorkerAndLeavesNothingBehind) {
  std::promise<void> go_on = hold_up(*workers_[0]);
  broadcast_.add("a", hosts(2));
  loop_.run_once(false);
  broadcast_.add("a", hosts(3));
  loop_.run_once(false);
  broadcast_.flush();
  apply(clusters({"a"}, 7));
  go_on.set_value();
  settle();
  EXPECT_EQ(seen("a"), "7 7") << "what was late came before the update";
}

TEST_F(HostBroadcastTest, OfAClusterThatIsGoneChangesNothing) {
  auto removal = std::make_shared<WorkerUpdate>();
  removal->removed_clusters.push_back("a");
  broadcast_.add("a", hosts(2));
  apply(removal);
  loop_.run_once(false);
  EXPECT_EQ(seen("a"), "0 0");
  EXPECT_EQ(seen("b"), "1 1");
}

}  // namespace
}  // namespace pillion
