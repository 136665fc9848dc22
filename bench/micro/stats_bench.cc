// What counting costs: an increment, a histogram sample, a response code; and a scrape of a mesh.

#include <benchmark/benchmark.h>
#include <malloc.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "proxy/stats/exposition.h"
#include "proxy/stats/registry.h"

namespace pillion::stats {
namespace {

void CounterInc(benchmark::State& state) {
  Registry registry;
  const auto stats = registry.block<ClusterStats>(0, "c");
  for (auto _ : state) {
    stats->upstream_rq_total.inc();
    benchmark::ClobberMemory();
  }
}
BENCHMARK(CounterInc);

// What the counter is not: a locked read-modify-write.
void FetchAddForComparison(benchmark::State& state) {
  std::atomic<uint64_t> counter{0};
  for (auto _ : state) {
    counter.fetch_add(1, std::memory_order_relaxed);
    benchmark::DoNotOptimize(counter);
  }
}
BENCHMARK(FetchAddForComparison);

void GaugeIncDec(benchmark::State& state) {
  Registry registry;
  const auto stats = registry.block<ClusterStats>(0, "c");
  for (auto _ : state) {
    stats->upstream_rq_active.inc();
    benchmark::ClobberMemory();
    stats->upstream_rq_active.dec();
    benchmark::ClobberMemory();
  }
}
BENCHMARK(GaugeIncDec);

void HistogramRecord(benchmark::State& state) {
  Registry registry;
  const auto stats = registry.block<ClusterStats>(0, "c");
  uint64_t micros = 0;
  for (auto _ : state) {
    stats->upstream_rq_time.record_micros(micros);
    micros = (micros * 5 + 137) & 0xfffff;
    benchmark::ClobberMemory();
  }
}
BENCHMARK(HistogramRecord);

void CountResponse(benchmark::State& state) {
  Registry registry;
  const auto stats = registry.block<ClusterStats>(0, "c");
  count_upstream_response(*stats, 404);
  for (auto _ : state) {
    count_upstream_response(*stats, 200);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(CountResponse);

// A mesh of range(0) clusters: control knows all, two workers call one in ten.
struct Mesh {
  explicit Mesh(int64_t clusters) {
    for (int64_t i = 0; i < clusters; ++i) {
      const std::string name = "outbound|8080||service-" + std::to_string(i) + ".shop.svc";
      known.push_back(registry.block<ClusterInfoStats>(kControl, name));
      if (i % 10 != 0) continue;
      for (Writer worker = 0; worker < 2; ++worker) {
        called.push_back(registry.block<ClusterStats>(worker, name));
        count_upstream_response(*called.back(), 200);
      }
    }
  }
  Registry registry;
  std::vector<BlockRef<ClusterInfoStats>> known;
  std::vector<BlockRef<ClusterStats>> called;
};

void run(benchmark::State& state, const std::function<std::unique_ptr<TextSource>()>& make) {
  size_t bytes = 0;
  size_t pieces = 0;
  size_t largest = 0;
  std::string piece;
  for (auto _ : state) {
    const auto source = make();
    for (bool more = true; more; ++pieces) {
      piece.clear();
      more = source->next(piece);
      bytes += piece.size();
      largest = std::max(largest, piece.size());
    }
  }
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
  state.counters["bytes"] =
      benchmark::Counter(static_cast<double>(bytes), benchmark::Counter::kAvgIterations);
  state.counters["pieces"] =
      benchmark::Counter(static_cast<double>(pieces), benchmark::Counter::kAvgIterations);
  state.counters["largest_piece"] = static_cast<double>(largest);
}

void ScrapeText(benchmark::State& state) {
  const Mesh mesh(state.range(0));
  run(state, [&] { return make_stats_text(mesh.registry, {}, StatsFormat::kText); });
}
BENCHMARK(ScrapeText)->Arg(10)->Arg(5000)->Unit(benchmark::kMillisecond);

void ScrapePrometheus(benchmark::State& state) {
  const Mesh mesh(state.range(0));
  run(state, [&] { return make_prometheus(mesh.registry, {}); });
}
BENCHMARK(ScrapePrometheus)->Arg(10)->Arg(5000)->Unit(benchmark::kMillisecond);

// Heap bytes of a cluster's blocks: of one that nobody calls, and of one that a worker calls.
template <typename Block>
void Memory(benchmark::State& state) {
  constexpr size_t kClusters = 1000;
  double bytes = 0;
  for (auto _ : state) {
    Registry registry;
    std::vector<BlockRef<Block>> blocks;
    blocks.reserve(kClusters);
    std::vector<std::string> names;
    for (size_t i = 0; i < kClusters; ++i) {
      names.push_back("outbound|8080||service-" + std::to_string(i) + ".shop.svc");
    }
    const size_t before = mallinfo2().uordblks;
    for (const std::string& name : names) blocks.push_back(registry.block<Block>(0, name));
    bytes = static_cast<double>(mallinfo2().uordblks - before) / kClusters;
  }
  state.counters["bytes_per_cluster"] = bytes;
  state.counters["sizeof"] = sizeof(Block);
}
BENCHMARK(Memory<ClusterInfoStats>)->Iterations(1);
BENCHMARK(Memory<ClusterStats>)->Iterations(1);
BENCHMARK(Memory<ClusterTlsStats>)->Iterations(1);

}  // namespace
}  // namespace pillion::stats
