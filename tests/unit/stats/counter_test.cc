#include "proxy/stats/counter.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "proxy/stats/keyed_counters.h"

namespace pillion::stats {
namespace {

using namespace std::chrono_literals;

TEST(Counter, CountsFromZero) {
  Counter counter;
  EXPECT_EQ(counter.value(), 0u);
  counter.inc();
  counter.add(41);
  EXPECT_EQ(counter.value(), 42u);
}

TEST(Gauge, GoesUpAndDownAndBelowZero) {
  Gauge gauge;
  gauge.inc();
  gauge.add(5);
  gauge.sub(2);
  gauge.dec();
  EXPECT_EQ(gauge.value(), 3);
  gauge.sub(10);
  EXPECT_EQ(gauge.value(), -7);
  gauge.set(-1'000'000'000'000);
  EXPECT_EQ(gauge.value(), -1'000'000'000'000);
}

TEST(Gauge, RemembersThatItWasUsedWhenItIsBackAtZero) {
  Gauge gauge;
  EXPECT_FALSE(gauge.used());
  gauge.inc();
  gauge.dec();
  EXPECT_EQ(gauge.value(), 0);
  EXPECT_TRUE(gauge.used());
}

TEST(Histogram, PutsEachValueInTheFirstBucketWhoseBoundIsNotBelowIt) {
  // The reference is a plain search; bucket_of() starts from a table.
  const auto slow = [](uint64_t micros) {
    size_t i = 0;
    while (i < Histogram::kBoundsMicros.size() && micros > Histogram::kBoundsMicros[i]) ++i;
    return i;
  };
  for (const uint64_t bound : Histogram::kBoundsMicros) {
    for (const uint64_t micros : {bound - 1, bound, bound + 1}) {
      EXPECT_EQ(Histogram::bucket_of(micros), slow(micros)) << micros;
    }
  }
  for (int shift = 0; shift < 64; ++shift) {
    const uint64_t micros = uint64_t{1} << shift;
    EXPECT_EQ(Histogram::bucket_of(micros), slow(micros)) << micros;
    EXPECT_EQ(Histogram::bucket_of(micros - 1), slow(micros - 1)) << micros;
  }
  EXPECT_EQ(Histogram::bucket_of(UINT64_MAX), Histogram::kBuckets - 1);
}

TEST(Histogram, TakesNegativeDurationsForZero) {
  Histogram histogram;
  histogram.record(-5ms);
  histogram.record(3ms);
  EXPECT_EQ(histogram.bucket(0), 1u);
  EXPECT_EQ(histogram.bucket(2), 1u);
  EXPECT_EQ(histogram.sum_micros(), 3000u);
}

std::vector<std::pair<uint16_t, uint64_t>> entries(const CodeCounters& counters) {
  std::vector<std::pair<uint16_t, uint64_t>> out;
  counters.for_each([&](uint16_t code, uint64_t n) { out.emplace_back(code, n); });
  return out;
}

TEST(KeyedCounters, CountsEachKey) {
  CodeCounters counters;
  EXPECT_TRUE(entries(counters).empty());
  counters.inc(200);
  counters.inc(503);
  counters.inc(200);
  using Entries = std::vector<std::pair<uint16_t, uint64_t>>;
  EXPECT_EQ(entries(counters), (Entries{{200, 2}, {503, 1}}));
}

TEST(KeyedCounters, CountsKeysBeyondTheirBoundAsUnknown) {
  // An upstream that answers with every status there is must not grow us without end.
  CodeCounters counters;
  for (uint16_t code = 100; code < 999; ++code) counters.inc(code);
  const auto all = entries(counters);
  ASSERT_EQ(all.size(), CodeCounters::kMaxKeys + 1);
  EXPECT_EQ(all.back().first, 0);
  EXPECT_EQ(all.back().second, 899 - CodeCounters::kMaxKeys);
}

// Whatever is recorded, it says the same as a Histogram.
TEST(SmallHistogram, SaysWhatAHistogramSays) {
  for (const int different : {1, 2, 1000}) {
    Histogram all;
    SmallHistogram small;
    SmallHistogram sum;
    for (int i = 0; i < 3000; ++i) {
      const Duration value = std::chrono::milliseconds(i % different * 7);
      all.record(value);
      small.record(value);
    }
    sum.record(Duration{});
    sum.add(small);
    for (size_t i = 0; i < Histogram::kBuckets; ++i) {
      EXPECT_EQ(small.bucket(i), all.bucket(i)) << different << ' ' << i;
      EXPECT_EQ(sum.bucket(i), all.bucket(i) + (i == 0 ? 1 : 0)) << different << ' ' << i;
    }
    EXPECT_EQ(small.sum_micros(), all.sum_micros());
    EXPECT_EQ(sum.sum_micros(), all.sum_micros());
  }
}

}  // namespace
}  // namespace pillion::stats
