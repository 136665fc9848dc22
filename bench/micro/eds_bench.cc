// What one update of EDS costs, from the bytes of a ClusterLoadAssignment to the cluster of a
// worker: read, made a set of hosts, taken by discovery, applied to the worker's map of clusters.
// One of ten thousand clusters with ten endpoints each changes at a time, as a control plane has
// it.
//
// Ways: 0 straight from the bytes, 1 by the tree that odd assignments go.  Changes: 0 none, 1 the
// weight of one endpoint, 2 one endpoint is replaced.

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "proxy/base/protobuf_wire.h"
#include "proxy/base/str.h"
#include "proxy/discovery/discovery.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/parse.h"
#include "proxy/upstream/read_assignment.h"
#include "xds/resource_document.h"

namespace pillion {
namespace {

constexpr uint32_t kClusters = 10'000;
constexpr uint32_t kEndpoints = 10;

enum Way : int64_t { kBytes, kDocument };
enum Change : int64_t { kNone, kWeight, kEndpoint };

std::string wrapped(uint64_t value) {
  std::string out;
  wire::write_number(out, 1, value);
  return out;
}

std::string endpoint(uint32_t ip, uint32_t weight) {
  std::string socket;
  wire::write_bytes(socket, 2, io::Address::ipv4(ip, 0).ip_string());
  wire::write_number(socket, 3, 8080);
  std::string address;
  wire::write_item(address, 1, socket);
  std::string inner;
  wire::write_item(inner, 1, address);
  std::string out;
  wire::write_item(out, 1, inner);
  wire::write_number(out, 2, 1);
  // As Istio does.
  const auto text = [](std::string_view key, std::string_view value) {
    std::string kind;
    wire::write_item(kind, 3, value);
    std::string entry;
    wire::write_bytes(entry, 1, key);
    wire::write_item(entry, 2, kind);
    std::string fields;
    wire::write_item(fields, 1, entry);
    return fields;
  };
  std::string metadata;
  for (const auto& [name, fields] :
       {std::pair("envoy.transport_socket_match", text("tlsMode", "istio")),
        std::pair("istio",
                  text("workload", str("orders-v1-", ip, ";retail;orders;v1;Kubernetes")))}) {
    std::string entry;
    wire::write_bytes(entry, 1, name);
    wire::write_item(entry, 2, fields);
    wire::write_item(metadata, 1, entry);
  }
  wire::write_item(out, 3, metadata);
  wire::write_item(out, 4, wrapped(weight));
  return out;
}

std::string assignment(const std::string& name, uint32_t first_ip, uint32_t weight) {
  std::string locality;
  wire::write_bytes(locality, 1, "region-1");
  wire::write_bytes(locality, 2, "zone-a");
  std::string group;
  wire::write_item(group, 1, locality);
  for (uint32_t i = 0; i < kEndpoints; ++i) {
    const bool is_odd_one = i == kEndpoints / 2;
    wire::write_item(group, 2,
                     endpoint(is_odd_one ? first_ip : 0x0a000001 + i, is_odd_one ? weight : 1));
  }
  std::string out;
  wire::write_bytes(out, 1, name);
  wire::write_item(out, 2, group);
  return out;
}

void read(const std::string& bytes, int64_t way, upstream::Endpoints& out) {
  if (way == kBytes) {
    upstream::PlainAssignment read;
    if (!upstream::read_assignment(bytes, read)) std::abort();
    out = std::move(read.endpoints);
    return;
  }
  config::Errors errors(config::UnknownFields::kCount);
  const auto document = xds::document_of(xds::ResourceType::kEndpoints, {"a", bytes}, errors);
  out = upstream::parse_assignment(document.node(errors));
}

struct World : private discovery::DiscoveryObserver {
  World() {
    for (uint32_t i = 0; i < kClusters; ++i) {
      auto config = std::make_shared<upstream::ClusterConfig>();
      config->name = config->stat_name = config->eds_name = str("cluster-", i);
      config->type = upstream::DiscoveryType::kEds;
      upstream::Endpoints endpoints;
      read(assignment(config->name, 0x0a0000ff, 1), kBytes, endpoints);
      discovery.set_endpoints(config->name, endpoints);
      discovery.add(config);
      configs.push_back(std::move(config));
    }
    discovery.commit();
    for (const auto& config : configs) clusters.set({config, discovery.hosts(config->name)});
  }
  ~World() {
    clusters.clear();
    loop.run_once(false);
  }
  void on_hosts(std::string_view cluster, const upstream::HostSetPtr& hosts) override {
    clusters.set_hosts(cluster, hosts);
  }
  void on_warm() override {}

  io::Loop loop;
  io::WriteBatch batch{loop};
  io::Resolver resolver{loop};
  stats::Registry registry;
  Rng rng{1};
  upstream::ClusterMap clusters{upstream::ClusterContext{loop, batch, registry, 0, rng}};
  discovery::Discovery discovery{{loop, resolver, registry, rng}, *this};
  std::vector<std::shared_ptr<const upstream::ClusterConfig>> configs;
};

void UpdateEndpoints(benchmark::State& state) {
  World world;
  const int64_t change = state.range(1);
  if (state.range(2) != 0)
    for (const auto& config : world.configs) (void)world.clusters.find(config->name);
  std::vector<std::string> messages[2];
  for (const auto& config : world.configs) {
    messages[0].push_back(assignment(config->name, 0x0a0000ff, 1));
    messages[1].push_back(assignment(config->name, change == kEndpoint ? 0x0a0000fe : 0x0a0000ff,
                                     change == kWeight ? 2 : 1));
  }
  size_t n = 0;
  for (auto _ : state) {
    const size_t which = n % kClusters;
    const size_t turn = n / kClusters % 2;
    upstream::Endpoints endpoints;
    read(messages[1 - turn][which], state.range(0), endpoints);
    world.discovery.set_endpoints(world.configs[which]->eds_name, endpoints);
    ++n;
  }
}
BENCHMARK(UpdateEndpoints)
    ->ArgNames({"way", "change", "called"})
    ->ArgsProduct({{kBytes, kDocument}, {kNone, kWeight, kEndpoint}, {0, 1}})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace pillion
