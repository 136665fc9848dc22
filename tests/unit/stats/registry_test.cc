#include "proxy/stats/registry.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "proxy/base/str.h"

namespace pillion::stats {
namespace {

using namespace std::chrono_literals;

const Row& row_of(Kind kind, std::string_view raw) {
  for (const Row& row : kind_info(kind).rows) {
    if (row.raw == raw) return row;
  }
  ADD_FAILURE() << "no row " << raw;
  return kind_info(kind).rows[0];
}

// The row as it would be scraped; nothing if there is no such scope.
std::optional<RowValue> read(const Registry& registry, Kind kind, std::string_view scope,
                             std::string_view raw) {
  for (const auto& s : registry.scopes(kind)) {
    RowValue value;
    if (s->raw() == scope && registry.read(*s, row_of(kind, raw), value)) return value;
  }
  return std::nullopt;
}
int64_t number(const Registry& registry, Kind kind, std::string_view scope, std::string_view raw) {
  const auto value = read(registry, kind, scope, raw);
  return value ? value->number : -1;
}

TEST(Counters, NamesAreUniqueWithinEachKind) {
  for (size_t i = 0; i < static_cast<size_t>(Kind::kCount); ++i) {
    std::set<std::string_view> names;
    for (const Row& row : kind_info(static_cast<Kind>(i)).rows) {
      EXPECT_TRUE(names.insert(row.raw).second)
          << kind_info(static_cast<Kind>(i)).before << row.raw;
      EXPECT_FALSE(row.help.empty()) << row.raw;
    }
  }
}

TEST(Counters, RowsOfOneFamilyStandTogetherAndShareTypeAndHelp) {
  // Prometheus wants all series of a family in one piece, under one TYPE line.
  std::set<std::string> done;
  for (size_t i = 0; i < static_cast<size_t>(Kind::kCount); ++i) {
    const KindInfo& info = kind_info(static_cast<Kind>(i));
    for (size_t r = 0; r < info.rows.size(); ++r) {
      if (r > 0 && info.rows[r].family == info.rows[r - 1].family) {
        EXPECT_EQ(info.rows[r].type == RowType::kGauge, info.rows[r - 1].type == RowType::kGauge);
        EXPECT_EQ(info.rows[r].help, info.rows[r - 1].help);
        continue;
      }
      const std::string name = std::string(info.family) + std::string(info.rows[r].family);
      EXPECT_TRUE(done.insert(name).second) << name;
    }
  }
}

TEST(Registry, SumsWriters) {
  Registry registry;
  const auto a = registry.block<ClusterStats>(0, "orders");
  const auto b = registry.block<ClusterStats>(1, "orders");
  ASSERT_NE(a.get(), b.get());
  a->upstream_rq_total.add(3);
  b->upstream_rq_total.add(4);
  a->upstream_cx_active.inc();
  b->upstream_cx_active.dec();  // opened by one, accounted by the other
  EXPECT_EQ(number(registry, Kind::kClusterStats, "cluster.orders.", "upstream_rq_total"), 7);
  EXPECT_EQ(number(registry, Kind::kClusterStats, "cluster.orders.", "upstream_cx_active"), 0);
}

TEST(Registry, GivesOneWriterTheSameBlockTwice) {
  Registry registry;
  const auto a = registry.block<HttpStats>(0, "ingress");
  const auto b = registry.block<HttpStats>(0, "ingress");
  EXPECT_EQ(a.get(), b.get());
}

TEST(Registry, KeepsTotalsWhenAWriterLeavesAndDropsItsGauges) {
  Registry registry;
  const auto stays = registry.block<ClusterStats>(0, "c");
  stays->upstream_rq_total.add(1);
  {
    const auto leaves = registry.block<ClusterStats>(1, "c");
    leaves->upstream_rq_total.add(10);
    leaves->upstream_cx_active.add(2);
    leaves->upstream_rq_time.record(3ms);
    count_upstream_response(*leaves, 503);
  }
  EXPECT_EQ(number(registry, Kind::kClusterStats, "cluster.c.", "upstream_rq_total"), 11);
  EXPECT_EQ(number(registry, Kind::kClusterStats, "cluster.c.", "upstream_cx_active"), 0);
  EXPECT_EQ(
      read(registry, Kind::kClusterStats, "cluster.c.", "upstream_rq_time")->histogram.count(), 1u);
  const auto codes = read(registry, Kind::kClusterStats, "cluster.c.", "upstream_rq_");
  ASSERT_EQ(codes->keyed.size(), 1u);
  EXPECT_EQ(codes->keyed[0], (std::pair<std::string, uint64_t>("503", 1)));
}

TEST(Registry, ForgetsAScopeWithItsLastHold) {
  Registry registry;
  std::shared_ptr<const Scope> seen;
  {
    const auto only = registry.block<ClusterStats>(0, "gone");
    only->upstream_rq_total.inc();
    seen = registry.scopes(Kind::kClusterStats).at(0);
  }
  EXPECT_TRUE(registry.scopes(Kind::kClusterStats).empty());
  // A scrape that took the list before must notice, not crash.
  RowValue value;
  EXPECT_FALSE(registry.read(*seen, row_of(Kind::kClusterStats, "upstream_rq_total"), value));
}

TEST(Registry, ResetsCountersAndCodesButNotGauges) {
  Registry registry;
  const auto a = registry.block<ClusterStats>(0, "c");
  {
    registry.block<ClusterStats>(1, "c")->upstream_rq_total.add(5);
  }
  a->upstream_rq_total.add(5);
  a->upstream_cx_active.add(2);
  count_upstream_response(*a, 200);
  registry.reset_counters();
  EXPECT_EQ(number(registry, Kind::kClusterStats, "cluster.c.", "upstream_rq_total"), 0);
  EXPECT_EQ(number(registry, Kind::kClusterStats, "cluster.c.", "upstream_rq_2xx"), 0);
  EXPECT_EQ(number(registry, Kind::kClusterStats, "cluster.c.", "upstream_cx_active"), 2);
  EXPECT_TRUE(read(registry, Kind::kClusterStats, "cluster.c.", "upstream_rq_")->keyed.empty());
  a->upstream_rq_total.inc();
  count_upstream_response(*a, 200);
  EXPECT_EQ(number(registry, Kind::kClusterStats, "cluster.c.", "upstream_rq_total"), 1);
  EXPECT_EQ(read(registry, Kind::kClusterStats, "cluster.c.", "upstream_rq_")->keyed[0].second, 1u);
}

TEST(Registry, AResetCostsNoMemoryWhereNothingWasCounted) {
  // Ten thousand clusters of a mesh, of which most are never called.
  Registry registry;
  std::vector<BlockRef<ClusterStats>> idle;
  for (int i = 0; i < 1000; ++i) idle.push_back(registry.block<ClusterStats>(0, str("c", i)));
  const auto busy = registry.block<ClusterStats>(0, "busy");
  busy->upstream_rq_total.inc();
  const size_t before = mallinfo2().uordblks;
  registry.reset_counters();
  EXPECT_LT(mallinfo2().uordblks, before + 1000 * sizeof(ClusterStats) / 10);
  EXPECT_EQ(number(registry, Kind::kClusterStats, "cluster.busy.", "upstream_rq_total"), 0);
  idle[7]->upstream_rq_total.add(3);
  EXPECT_EQ(number(registry, Kind::kClusterStats, "cluster.c7.", "upstream_rq_total"), 3);
  registry.reset_counters();
  EXPECT_EQ(number(registry, Kind::kClusterStats, "cluster.c7.", "upstream_rq_total"), 0);
}

TEST(Registry, MovesHolds) {
  Registry registry;
  auto a = registry.block<TcpStats>(0, "a");
  a->downstream_cx_total.inc();
  BlockRef<TcpStats> b = std::move(a);
  EXPECT_FALSE(a);
  EXPECT_EQ(number(registry, Kind::kTcpStats, "tcp.a.", "downstream_cx_total"), 1);
  b = registry.block<TcpStats>(0, "b");
  a = BlockRef<TcpStats>();
  EXPECT_EQ(number(registry, Kind::kTcpStats, "tcp.b.", "downstream_cx_total"), 0);
}

TEST(Registry, PutsTwoNamesIntoOneScope) {
  Registry registry;
  const auto a = registry.block<ListenerHttpStats>(0, "0.0.0.0:15006", "inbound");
  EXPECT_EQ(registry.scopes(Kind::kListenerHttpStats).at(0)->raw(),
            "listener.0.0.0.0_15006.http.inbound.");
}

TEST(Registry, SanitisesNamesAsEnvoyDoes) {
  EXPECT_EQ(sanitize_name("0.0.0.0:15006"), "0.0.0.0_15006");
  EXPECT_EQ(sanitize_name("http://a:80"), "http_a_80");
  EXPECT_EQ(sanitize_name("[::1]:80"), "[__1]_80");
  EXPECT_EQ(sanitize_name("outbound|80||a.b"), "outbound|80||a.b");
  EXPECT_EQ(sanitize_name("caf\xc3\xa9"), "caf\xc3\xa9");
  // Ids of principals are labels of metrics as they are.
  EXPECT_EQ(sanitize_name("spiffe://a/b:1", Colons::kKept), "spiffe://a/b:1");
  EXPECT_EQ(sanitize_name("a:\n\xff", Colons::kKept), "a:__");
}

TEST(Registry, ReplacesControlCharactersAndBrokenUtf8InNames) {
  // One bad byte would make Prometheus refuse the whole scrape; a newline would forge a line.
  EXPECT_EQ(sanitize_name("a\nb\x7f"), "a_b_");
  EXPECT_EQ(sanitize_name("a\xff"), "a_");
  EXPECT_EQ(sanitize_name("\xc3"), "_");
  EXPECT_EQ(sanitize_name("\xc0\xaf"), "__");
  EXPECT_EQ(sanitize_name("\xed\xa0\x80"), "___");
}

TEST(Registry, ReadsWhileTwoWritersCount) {
  // Run under TSan: one writer a counter, readers at any time, holds coming and going.
  constexpr uint64_t kEach = 20'000;
  Registry registry;
  const auto base = registry.block<ClusterStats>(kControl, "c");
  std::atomic<int> running{2};
  const auto write = [&](Writer writer) {
    for (uint64_t i = 0; i < kEach; ++i) {
      const auto stats = registry.block<ClusterStats>(writer, "c");
      stats->upstream_rq_total.inc();
      stats->upstream_cx_active.inc();
      stats->upstream_rq_time.record_micros(i);
      count_upstream_response(*stats, 200 + static_cast<unsigned>(i % 20));
      stats->upstream_cx_active.dec();
    }
    --running;
  };
  std::thread first(write, Writer{0});
  std::thread second(write, Writer{1});
  int64_t last = 0;
  while (running > 0) {
    const int64_t now = number(registry, Kind::kClusterStats, "cluster.c.", "upstream_rq_total");
    EXPECT_GE(now, last);
    last = now;
    const auto codes = read(registry, Kind::kClusterStats, "cluster.c.", "upstream_rq_");
    EXPECT_LE(codes->keyed.size(), 20u);
  }
  first.join();
  second.join();
  EXPECT_EQ(number(registry, Kind::kClusterStats, "cluster.c.", "upstream_rq_total"), 2 * kEach);
  EXPECT_EQ(
      read(registry, Kind::kClusterStats, "cluster.c.", "upstream_rq_time")->histogram.count(),
      2 * kEach);
}

}  // namespace
}  // namespace pillion::stats
