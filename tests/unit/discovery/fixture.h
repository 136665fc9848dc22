#pragma once
// Discovery with a DNS server on loopback: what it reports, and when it is warm.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/discovery/discovery.h"
#include "tests/support/dns_server.h"
#include "tests/support/run_until.h"
#include "tests/unit/upstream/fixture.h"

namespace pillion::discovery {

using testing::DnsReply;
using testing::DnsServer;
using testing::DnsType;
using testing::run_for;
using testing::run_until;
using upstream::cluster_of;
using upstream::endpoint;
using upstream::endpoints;
using upstream::HostSetPtr;

inline std::vector<std::string> addresses_of(const HostSetPtr& set) {
  std::vector<std::string> out;
  for (const auto& host : set->hosts) out.push_back(host->address.to_string());
  return out;
}
using Addresses = std::vector<std::string>;

class DiscoveryTest : public ::testing::Test, private DiscoveryObserver {
 protected:
  io::Resolver::Options options() {
    io::Resolver::Options o;
    o.servers = {server.address()};
    o.resolv_conf = "/dev/null";
    o.hosts = "/dev/null";
    o.try_timeout = std::chrono::milliseconds(100);
    o.tries = 1;
    o.deadline = std::chrono::milliseconds(300);
    return o;
  }
  std::shared_ptr<const upstream::ClusterConfig> dns(
      std::string_view name, std::string_view target,
      std::string_view more = "dns_refresh_rate: 0.03s", std::string_view type = "STRICT_DNS") {
    return cluster_of(
        str("{ name: ", name, ", type: ", type, ", ", more, ", ", endpoints({target}), " }"));
  }
  // Adds a cluster, waits until it is warm, commits.
  HostSetPtr settle(const std::shared_ptr<const upstream::ClusterConfig>& config) {
    discovery.add(config);
    EXPECT_TRUE(run_until(loop, [&] { return discovery.all_warm(); }));
    discovery.commit();
    return discovery.hosts(config->name);
  }
  bool wait_for(std::string_view name, const Addresses& expected) {
    return run_until(loop, [&] { return addresses_of(discovery.hosts(name)) == expected; });
  }
  stats::BlockRef<stats::ClusterInfoStats> stats_of(std::string_view name) {
    return registry.block<stats::ClusterInfoStats>(stats::kControl, name);
  }

  void on_hosts(std::string_view cluster, const HostSetPtr& hosts) override {
    reported[std::string(cluster)].push_back(hosts);
  }
  void on_warm() override { ++warm; }
  void on_health(std::string_view) override { ++unhealthy; }

  DnsServer server;
  io::Loop loop;
  io::Resolver resolver{loop, options()};
  stats::Registry registry;
  Rng rng{7};
  std::map<std::string, std::vector<HostSetPtr>> reported;
  int warm = 0;
  int unhealthy = 0;  // how often the health of hosts was reported
  io::WriteBatch batch{loop};
  Discovery discovery{{loop, resolver, registry, rng, &batch}, *this};
};

}  // namespace pillion::discovery
