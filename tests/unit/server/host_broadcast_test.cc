// Workers hear of endpoints once a turn of control, of each cluster's last ones.
#include "proxy/host_broadcast.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <future>

#include "proxy/base/str.h"

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
  HostBroadcast broadcast_{loop_, workers_};
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
  loop_.run_once(false);
  EXPECT_EQ(seen("b"), "6 6");
  broadcast_.add("b", hosts(3));
  loop_.run_once(false);
  EXPECT_EQ(seen("b"), "3 3");
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
