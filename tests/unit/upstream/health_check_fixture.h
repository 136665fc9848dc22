#pragma once
// A HealthChecker and hosts that the test plays by hand, over loopback.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/upstream/health_check.h"
#include "tests/unit/upstream/fixture.h"
#include "tests/unit/upstream/pool_fixture.h"

namespace pillion::upstream {

class HealthCheckTest : public UpstreamTest, protected HealthObserver {
 protected:
  HealthCheckTest() {
    options.timeout = std::chrono::seconds(2);
    options.interval = options.unhealthy_interval = std::chrono::seconds(5);
    options.healthy_edge_interval = options.unhealthy_edge_interval = std::chrono::seconds(1);
    options.no_traffic_interval = options.no_traffic_healthy_interval = std::chrono::seconds(60);
    options.unhealthy_threshold = 3;
    options.healthy_threshold = 2;
    options.http.path = "/up?all=1";
    config->health = std::make_shared<SharedHealth>();
  }
  void start(const std::vector<io::Address>& addresses) {
    Endpoints infos;
    for (const io::Address& address : addresses) {
      infos.emplace_back().address = address;
      infos.back().transport = labels;
    }
    set_ = make_host_set(infos, nullptr);
    configure();
    checker = std::make_unique<HealthChecker>(HealthChecker::Context{loop, batch, registry, rng},
                                              config, static_cast<HealthObserver&>(*this));
    checker->set_hosts(set_->hosts);
    set(set_);
  }
  void configure() {
    config = std::make_shared<ClusterConfig>(*config);
    config->health_check = std::make_shared<HealthCheckOptions>(options);
  }
  void TearDown() override {
    checker.reset();
    UpstreamTest::TearDown();
  }
  void on_health_changed() override {
    ++changes;
    clusters.update_health("c");
  }
  void on_check_passed(HostId) override { ++passed; }

  [[nodiscard]] uint32_t flags(size_t i = 0) {
    return config->health->of(set_->hosts[i]->id)->flags();
  }
  bool is_healthy(size_t i = 0) { return (flags(i) & kFailedActive) == 0; }
  // A server's whole life with one check.
  std::string answer(Conn& conn, std::string_view status, std::string_view fields = "") {
    turn();
    std::string request = conn.read_head();
    conn.send(str("HTTP/1.1 ", status, " x\r\nContent-Length: 0\r\n", fields, "\r\n"));
    const uint64_t before = results();
    EXPECT_TRUE(run_until(loop, [&] { return results() != before; })) << "no verdict";
    return request;
  }
  Conn take(Backend& backend) {
    EXPECT_TRUE(run_until(loop, [&] { return backend.has_waiting(); })) << "nobody checks";
    Conn conn = backend.accept();
    turn();
    return conn;
  }
  void turn() { run_for(loop, std::chrono::milliseconds(1)); }
  void pass(Duration time) {
    turn();
    loop.skip(time);
    turn();
  }
  uint64_t results() { return checks->success.value() + checks->failure.value(); }
  HostInfoPtr host(size_t i = 0) { return set_->hosts[i]; }
  // A worker connects, for the first time.
  void call() { registry.block<stats::ClusterStats>(1, "c")->upstream_cx_total.inc(); }

  HealthCheckOptions options;
  TransportLabelsPtr labels;  // of all hosts
  std::unique_ptr<HealthChecker> checker;
  stats::BlockRef<stats::ClusterHealthCheckStats> checks =
      registry.block<stats::ClusterHealthCheckStats>(stats::kControl, "c");
  int changes = 0;
  int passed = 0;

 private:
  HostSetPtr set_;
};

}  // namespace pillion::upstream
