// A worker with its thread, as the server drives it: how its listeners come and go.

#include "proxy/worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/builder/builder.h"
#include "proxy/drain_count.h"
#include "proxy/listen_sockets.h"
#include "proxy/upstream/host_set.h"
#include "tests/support/sockets.h"

namespace pillion {
namespace {

using testing::Fd;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

// A listener that answers by itself.
std::shared_ptr<const core::ListenerConfig> make_listener(std::string_view text, uint16_t port) {
  constexpr std::string_view kType = "'@type': type.googleapis.com/envoy.extensions.filters.";
  Options options;
  options.config_yaml =
      str("{ static_resources: { listeners: [ { name: in, address: { socket_address: { address: "
          "127.0.0.1, port_value: ",
          port, " } }, filter_chains: [ { filters: [ { name: f, typed_config: { ", kType,
          "network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: web, "
          "route_config: { virtual_hosts: [ { name: all, domains: [ '*' ], routes: [ { match: { "
          "prefix: / }, direct_response: { status: 200, body: { inline_string: ",
          text, " } } } ] } ] }, http_filters: [ { name: router, typed_config: { ", kType,
          "http.router.v3.Router } } ] } } ] } ] } ] } }");
  config::Errors errors(options.unknown_fields());
  const auto snapshot = build_snapshot(options, {}, errors);
  EXPECT_NE(snapshot, nullptr) << errors.to_string();
  return snapshot == nullptr ? nullptr : snapshot->listeners.front();
}

upstream::HostSetPtr hosts(size_t count) {
  upstream::Endpoints all(count);
  for (size_t i = 0; i < count; ++i)
    all[i].address = io::Address::ipv4(INADDR_LOOPBACK, static_cast<uint16_t>(i + 1));
  return upstream::make_host_set(all, nullptr);
}

class WorkerThread : public ::testing::Test {
 protected:
  WorkerThread() { worker_.start(); }
  ~WorkerThread() override { worker_.stop(); }

  // Runs it on the worker's thread, to which nothing else happens meanwhile.
  template <typename Fn>
  void on_worker(Fn&& fn) {
    std::promise<void> done;
    worker_.post([&](Worker& w) {
      fn(w);
      done.set_value();
    });
    done.get_future().wait();
  }
  // An update with one new listener, bound to `port` (0: any).
  std::shared_ptr<WorkerUpdate> add(std::string_view text, uint16_t port = 0) {
    auto update = std::make_shared<WorkerUpdate>();
    const auto config = make_listener(text, port);
    core::ListenerConfig former;
    former.address = address_;
    OurAddresses ours;
    ours.add(former);
    Result<ListenSockets> sockets = open_listen_sockets(*config, 1, ours);
    EXPECT_TRUE(sockets) << sockets.error();
    address_ = sockets->addresses.front();
    update->new_listeners.push_back({config, sockets->sockets});
    return update;
  }
  // A client that has sent a request.
  Fd request() {
    Fd fd = testing::connect_to(address_);
    testing::send_all(fd.get(), kGet);
    return fd;
  }
  uint64_t count(const stats::Counter stats::ListenerManagerStats::* row) {
    return static_cast<uint64_t>((*manager_.*row).value());
  }

  stats::Registry registry_;
  ConnectionBudget budget_;
  stats::BlockRef<stats::ListenerManagerStats> manager_ =
      registry_.block<stats::ListenerManagerStats>(0);
  Worker worker_{0, registry_, budget_, std::chrono::seconds(30)};
  io::Address address_;
};

void expect_last_response(const Fd& client, std::string_view text) {
  const std::string response = testing::receive(client.get());
  EXPECT_TRUE(response.ends_with(text)) << response;
  EXPECT_NE(response.find("connection: close"), std::string::npos) << response;
  EXPECT_EQ(testing::receive(client.get()), "") << "an orderly end";
}

TEST_F(WorkerThread, DrainServesWhoWasQueuedWhenTheSocketsClose) {
  const auto update = add("hello");
  std::vector<Fd> clients;
  on_worker([&](Worker& w) {
    w.apply(update);
    for (int i = 0; i < 100; ++i) clients.push_back(request());
    w.close_sockets(false);
    EXPECT_EQ(budget_.used.load(), 100) << "the process knows of them before it ends";
  });
  for (const Fd& client : clients) expect_last_response(client, "hello");
  for (int turns = 0; budget_.used.load() != 0 && turns < 100'000; ++turns)
    on_worker([](Worker&) {});
  EXPECT_EQ(budget_.used.load(), 0);
}

TEST_F(WorkerThread, ReloadServesWhoWasQueuedAtTheFormerSocket) {
  const auto first = add("former");
  std::vector<Fd> queued;
  std::shared_ptr<WorkerUpdate> second;
  on_worker([&](Worker& w) { w.apply(first); });
  on_worker([&](Worker& w) {
    for (int i = 0; i < 20; ++i) queued.push_back(request());
    second = add("next", address_.port());
    second->removed_listeners.push_back("in");
    for (int i = 0; i < 20; ++i) queued.push_back(request());
    w.apply(second);
  });
  for (const Fd& client : queued) expect_last_response(client, "former");
  const Fd client = request();
  EXPECT_TRUE(testing::receive(client.get()).ends_with("next"));
  EXPECT_EQ(count(&stats::ListenerManagerStats::listener_create_success), 2U);
}

TEST_F(WorkerThread, ReloadSurvivesASocketThatMayNotListen) {
  io::ListenOptions alone;
  alone.reuse_port = false;
  const auto foreign = io::bind_listener(io::Address::ipv4(INADDR_LOOPBACK, 0), alone);
  ASSERT_TRUE(foreign) << foreign.error();
  Fd others(*foreign);
  address_ = testing::local_address_of(others.get());  // taken for one of ours: only bound
  const auto update = add("hello", address_.port());
  ASSERT_EQ(::listen(others.get(), 5), 0);
  on_worker([&](Worker& w) { w.apply(update); });
  EXPECT_EQ(count(&stats::ListenerManagerStats::listener_create_failure), 1U);
  EXPECT_EQ(count(&stats::ListenerManagerStats::listener_create_success), 0U);
  auto removal = std::make_shared<WorkerUpdate>();
  removal->removed_listeners.push_back("in");
  on_worker([&](Worker& w) { w.apply(removal); });
}

TEST_F(WorkerThread, ARemovedListenerDrainsUntilItsLastConnectionEnds) {
  DrainCount draining;
  const auto first = add("hello");
  on_worker([&](Worker& w) { w.apply(first); });
  std::optional<Fd> client = testing::connect_to(address_);
  while (budget_.used.load() == 0) on_worker([](Worker&) {});
  auto removal = std::make_shared<WorkerUpdate>();
  removal->removed_listeners.push_back("in");
  removal->draining.push_back(draining.begin());
  on_worker([&](Worker& w) { w.apply(std::move(removal)); });
  on_worker([](Worker&) {});
  EXPECT_EQ(draining.value(), 1) << "its client is there";
  client.reset();
  while (budget_.used.load() != 0) on_worker([](Worker&) {});
  on_worker([](Worker&) {});
  EXPECT_EQ(draining.value(), 0);
}

TEST_F(WorkerThread, ARemovedListenerWithoutConnectionsDoesNotDrain) {
  DrainCount draining;
  const auto first = add("hello");
  on_worker([&](Worker& w) { w.apply(first); });
  auto removal = std::make_shared<WorkerUpdate>();
  removal->removed_listeners.push_back("in");
  removal->draining.push_back(draining.begin());
  EXPECT_EQ(draining.value(), 1) << "the worker does not know yet";
  on_worker([&](Worker& w) { w.apply(std::move(removal)); });
  on_worker([](Worker&) {});
  EXPECT_EQ(draining.value(), 0);
}

TEST_F(WorkerThread, HandsBackTheHostsOfClustersThatAreChangedOrGone) {
  const auto update_of = [](std::initializer_list<std::string_view> names) {
    auto update = std::make_shared<WorkerUpdate>();
    for (const std::string_view name : names) {
      auto config = std::make_shared<upstream::ClusterConfig>();
      config->name = name;
      update->clusters.push_back({std::move(config), hosts(3)});
    }
    return update;
  };
  auto first = update_of({"a", "b", "c"});
  const upstream::HostSetPtr a = first->clusters[0].hosts, b = first->clusters[1].hosts;
  auto second = update_of({"a"});
  second->removed_clusters.push_back("b");
  Worker::FormerHosts handed_back;
  on_worker([&](Worker& w) {
    w.apply(std::move(first));
    w.apply(std::move(second),
            [&](const std::shared_ptr<const WorkerUpdate>&, Worker::FormerHosts former) {
              handed_back = std::move(former);
            });
  });
  EXPECT_THAT(handed_back, ::testing::ElementsAre(a, b));
}

TEST_F(WorkerThread, HostsThatComeWhileAnUpdateIsAppliedWinOverItsOwnBeforeItIsDone) {
  // Enough for several portions, of the update and of what came meanwhile.
  constexpr size_t kClusters = 20'000;
  constexpr size_t kEach = 200;  // is looked at: who is, is made
  auto update = std::make_shared<WorkerUpdate>();
  for (size_t i = 0; i < kClusters; ++i) {
    auto config = std::make_shared<upstream::ClusterConfig>();
    config->name = str("cluster-", i);
    update->clusters.push_back({std::move(config), hosts(1)});
  }
  const upstream::HostSetPtr later = hosts(2);
  std::promise<size_t> with_later;
  on_worker([&](Worker& w) {
    w.apply(update, [&](const std::shared_ptr<const WorkerUpdate>& applied,
                        const Worker::FormerHosts& former) {
      EXPECT_EQ(former.size(), 0u);
      size_t count = 0;
      for (size_t i = 0; i < kClusters; i += kEach)
        count += w.host_count(applied->clusters[i].config->name) == 2 ? 1 : 0;
      with_later.set_value(count);
    });
    auto news = std::make_shared<HostNews>();
    for (const auto& cluster : update->clusters) news->hosts[cluster.config->name.str()] = later;
    w.take_news(std::move(news));
  });
  EXPECT_EQ(with_later.get_future().get(), kClusters / kEach);
}

}  // namespace
}  // namespace pillion
