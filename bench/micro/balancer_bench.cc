// What the choice of a host costs, by policy, number of hosts and weights.

#include <benchmark/benchmark.h>

#include "proxy/base/str.h"
#include "proxy/upstream/cluster_map.h"

namespace pillion::upstream {
namespace {

// A cluster of this thread; nobody connects.
struct World {
  World(int64_t count, BalancePolicy policy, bool weighted) {
    Endpoints infos;
    for (int64_t i = 0; i < count; ++i) {
      Endpoint& info = infos.emplace_back();
      info.address = io::Address::ipv4(0x0a000001 + static_cast<uint32_t>(i), 8080);
      info.weight = weighted ? 1 + static_cast<uint32_t>(i % 5) : 1;
    }
    auto config = std::make_shared<ClusterConfig>();
    config->name = config->stat_name = "c";
    config->balancer.group.policy = policy;
    clusters.set({std::move(config), make_host_set(infos, nullptr)});
    cluster = clusters.find("c");
  }
  ~World() {
    clusters.clear();
    loop.run_once(false);
  }
  io::Loop loop;
  io::WriteBatch batch{loop};
  stats::Registry registry;
  Rng rng{1};
  ClusterMap clusters{ClusterContext{loop, batch, registry, 0, rng}};
  Cluster* cluster = nullptr;
};

void pick_by(benchmark::State& state, BalancePolicy policy, bool weighted) {
  World world(state.range(0), policy, weighted);
  Failure failure;
  for (auto _ : state) benchmark::DoNotOptimize(world.cluster->pick({}, &failure));
}
void PickRoundRobin(benchmark::State& state) { pick_by(state, BalancePolicy::kRoundRobin, false); }
BENCHMARK(PickRoundRobin)->Arg(1)->Arg(10)->Arg(1000);
void PickRoundRobinWeighted(benchmark::State& state) {
  pick_by(state, BalancePolicy::kRoundRobin, true);
}
BENCHMARK(PickRoundRobinWeighted)->Arg(10)->Arg(1000);
void PickLeastRequest(benchmark::State& state) {
  pick_by(state, BalancePolicy::kLeastRequest, false);
}
BENCHMARK(PickLeastRequest)->Arg(10)->Arg(1000);
void PickLeastRequestWeighted(benchmark::State& state) {
  pick_by(state, BalancePolicy::kLeastRequest, true);
}
BENCHMARK(PickLeastRequestWeighted)->Arg(10)->Arg(1000);
void PickRandom(benchmark::State& state) { pick_by(state, BalancePolicy::kRandom, false); }
BENCHMARK(PickRandom)->Arg(10)->Arg(1000);

// A change of endpoints, on each worker: one of so many hosts comes and goes.
void UpdateHosts(benchmark::State& state) {
  World world(state.range(0), BalancePolicy::kRoundRobin, false);
  Endpoints infos;
  for (const Ref<Host>& host : world.cluster->hosts()) {
    Endpoint& info = infos.emplace_back();
    info.address = host->address();
    info.weight = host->info().weight;
  }
  const HostSetPtr all = make_host_set(infos, nullptr);
  infos.pop_back();
  const HostSetPtr fewer = make_host_set(infos, all);
  world.cluster->update_hosts(all);
  for (auto _ : state) {
    world.cluster->update_hosts(fewer);
    world.cluster->update_hosts(all);
    world.loop.run_once(false);
  }
}
BENCHMARK(UpdateHosts)->Arg(10)->Arg(1000);

}  // namespace
}  // namespace pillion::upstream
