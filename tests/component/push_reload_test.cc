// Large configurations are pushed to a worker on a thread of its own while clients ask it: nobody
// waits for all of it, and nobody sees half of it.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "proxy/base/str.h"
#include "proxy/builder/builder.h"
#include "proxy/listen_sockets.h"
#include "proxy/worker.h"
#include "tests/support/sockets.h"

namespace pillion {
namespace {

using testing::Fd;

// One listener whose requests are answered by itself, and as many clusters as there are.
std::shared_ptr<const Snapshot> make_snapshot(int clusters, std::string_view text) {
  constexpr std::string_view kType = "'@type': type.googleapis.com/envoy.extensions.filters.";
  std::string list;
  for (int i = 0; i < clusters; ++i)
    list += str("{ name: cluster-", i, ", type: STATIC, load_assignment: { cluster_name: x } }, ");
  Options options;
  options.config_yaml =
      str("{ static_resources: { clusters: [ ", list, " ], listeners: [ { name: in, address: { ",
          "socket_address: { address: 127.0.0.1, port_value: 0 } }, filter_chains: [ { filters: [ ",
          "{ name: f, typed_config: { ", kType,
          "network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: web, "
          "route_config: { virtual_hosts: [ { name: all, domains: [ '*' ], routes: [ { match: { "
          "prefix: / }, direct_response: { status: 200, body: { inline_string: ",
          text, " } } } ] } ] }, http_filters: [ { name: router, typed_config: { ", kType,
          "http.router.v3.Router } } ] } } ] } ] } ] } }");
  config::Errors errors(options.unknown_fields());
  const auto snapshot = build_snapshot(options, {}, errors);
  EXPECT_NE(snapshot, nullptr) << errors.to_string();
  return snapshot;
}

class PushReload : public ::testing::Test {
 protected:
  PushReload() { worker_.start(); }
  ~PushReload() override { worker_.stop(); }

  // Returns when all of it is in force.
  void apply(const std::shared_ptr<const WorkerUpdate>& update) {
    std::promise<void> done;
    worker_.post([&](Worker& w) {
      w.apply(update, [&done](const std::shared_ptr<const WorkerUpdate>&,
                              const Worker::FormerHosts&) { done.set_value(); });
    });
    done.get_future().wait();
  }
  std::shared_ptr<WorkerUpdate> clusters_of(const Snapshot& snapshot) {
    auto update = std::make_shared<WorkerUpdate>();
    for (const auto& cluster : snapshot.clusters) update->clusters.push_back({cluster, hosts_});
    return update;
  }
  void listen(const Snapshot& snapshot) {
    const auto config = snapshot.listeners.front();
    Result<ListenSockets> sockets = open_listen_sockets(*config, 1, {});
    ASSERT_TRUE(sockets) << sockets.error();
    address_ = sockets->addresses.front();
    auto update = std::make_shared<WorkerUpdate>();
    update->new_listeners.push_back({config, sockets->sockets});
    apply(update);
  }
  std::string ask(int fd) {
    testing::send_all(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    return testing::receive(fd);
  }

  stats::Registry registry_;
  ConnectionBudget budget_;
  Worker worker_{0, registry_, budget_, std::chrono::seconds(30)};
  std::shared_ptr<const upstream::HostSet> hosts_ = std::make_shared<const upstream::HostSet>();
  io::Address address_;
};

TEST_F(PushReload, AnswersRequestsWhileThousandsOfClustersComeAndGo) {
  const auto snapshot = make_snapshot(3000, "hello");
  ASSERT_NE(snapshot, nullptr);
  listen(*snapshot);
  std::atomic<bool> is_over{false};
  std::atomic<int> answers{0};
  std::thread client([&] {
    const Fd fd = testing::connect_to(address_);
    while (!is_over) {
      const std::string answer = ask(fd.get());
      EXPECT_TRUE(answer.ends_with("hello")) << answer;
      ++answers;
    }
  });
  auto removal = std::make_shared<WorkerUpdate>();
  for (const auto& cluster : snapshot->clusters)
    removal->removed_clusters.push_back(cluster->name.str());
  for (int round = 0; round < 5; ++round) {
    const int before = answers;
    apply(clusters_of(*snapshot));
    apply(removal);
    while (answers == before) std::this_thread::yield();
  }
  is_over = true;
  client.join();
}

// What comes while an update is being applied means what is after it.
TEST_F(PushReload, TakesHostsThatComeMeanwhileAfterTheClusters) {
  const auto snapshot = make_snapshot(5000, "hello");
  ASSERT_NE(snapshot, nullptr);
  upstream::Endpoint host;
  host.address = io::Address::ipv4(0x7f000001, 1);
  const auto newer = upstream::make_host_set({host}, nullptr);
  const auto update = clusters_of(*snapshot);
  std::promise<void> done;
  std::promise<size_t> seen;
  worker_.post([&](Worker& w) {
    w.apply(update, [&](const std::shared_ptr<const WorkerUpdate>&, const Worker::FormerHosts&) {
      done.set_value();
    });
    // The last one is not there yet, or it is, if this machine is quick.
    auto news = std::make_shared<HostNews>();
    news->hosts["cluster-4999"] = newer;
    w.take_news(std::move(news));
  });
  done.get_future().wait();
  worker_.post([&](Worker& w) { seen.set_value(w.host_count("cluster-4999")); });
  EXPECT_EQ(seen.get_future().get(), 1U);
}

// The end of a worker does not wait for later turns, nor leaves sockets behind.
TEST_F(PushReload, EndsInTheMiddleOfAnUpdate) {
  const auto snapshot = make_snapshot(5000, "hello");
  ASSERT_NE(snapshot, nullptr);
  listen(*snapshot);
  worker_.post([update = clusters_of(*snapshot)](Worker& w) { w.apply(update); });
  worker_.stop();
}

}  // namespace
}  // namespace pillion
