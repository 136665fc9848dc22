#pragma once
// The three kinds of metric that the data path writes: Counter, Gauge, Histogram.
//
// Each has exactly one writer, the thread whose block it lives in, and any number of readers.  So
// an increment is a plain load, add and store (relaxed atomics only to keep readers from tearing);
// there is no locked instruction and no shared cache line.  Readers sum the blocks of all writers.

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "proxy/base/clock.h"

namespace pillion::stats {

class Counter {
 public:
  void inc() noexcept { add(1); }
  void add(uint64_t n) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  [[nodiscard]] uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// May go down, and below zero in one worker's block as long as the sum makes sense.  Remembers that
// it was ever written: `usedonly` shows a used gauge that is back at 0, as Envoy does.
class Gauge {
 public:
  void inc() noexcept { add(1); }
  void dec() noexcept { add(-1); }
  void sub(int64_t n) noexcept { add(-n); }
  void add(int64_t n) noexcept { write(value() + n); }
  void set(int64_t n) noexcept { write(n); }
  [[nodiscard]] int64_t value() const noexcept {
    return word_.load(std::memory_order_relaxed) >> 1;
  }
  [[nodiscard]] bool used() const noexcept { return word_.load(std::memory_order_relaxed) & 1; }

 private:
  void write(int64_t n) noexcept {
    word_.store(static_cast<int64_t>(static_cast<uint64_t>(n) << 1 | 1), std::memory_order_relaxed);
  }
  std::atomic<int64_t> word_{0};  // value * 2 + was it ever written
};

namespace detail {

inline constexpr std::array<uint64_t, 19> kBoundsMicros = {
    500,        1'000,       5'000,       10'000,        25'000,       50'000,     100'000,
    250'000,    500'000,     1'000'000,   2'500'000,     5'000'000,    10'000'000, 30'000'000,
    60'000'000, 300'000'000, 600'000'000, 1'800'000'000, 3'600'000'000};

// For each bit width the first bucket that a value of that width can be in.
constexpr std::array<uint8_t, 65> make_first_by_width() {
  std::array<uint8_t, 65> first{};
  for (size_t width = 0; width < first.size(); ++width) {
    const uint64_t least = width == 0 ? 0 : uint64_t{1} << (width - 1);
    uint8_t i = 0;
    while (i < kBoundsMicros.size() && kBoundsMicros[i] < least) ++i;
    first[width] = i;
  }
  return first;
}
inline constexpr std::array<uint8_t, 65> kFirstByWidth = make_first_by_width();

}  // namespace detail

// Durations in Envoy's default buckets, kept in microseconds (Envoy rounds to milliseconds, which
// says little about a local hop) and shown in milliseconds.  Its count is the sum of its buckets.
class Histogram {
 public:
  // Upper bounds, inclusive; the last bucket has none.
  static constexpr const auto& kBoundsMicros = detail::kBoundsMicros;
  static constexpr size_t kBuckets = kBoundsMicros.size() + 1;

  // Negative durations count as 0.
  void record(Duration d) noexcept {
    const int64_t micros = d.count() / 1000;
    record_micros(micros > 0 ? static_cast<uint64_t>(micros) : 0);
  }
  void record_micros(uint64_t micros) noexcept {
    buckets_[bucket_of(micros)].inc();
    sum_.add(micros);
  }
  [[nodiscard]] uint64_t bucket(size_t i) const noexcept { return buckets_[i].value(); }
  [[nodiscard]] uint64_t sum_micros() const noexcept { return sum_.value(); }
  // Adds what another histogram holds (a writer that goes; see Registry).
  void add(const Histogram& other) noexcept {
    for (size_t i = 0; i < kBuckets; ++i) buckets_[i].add(other.bucket(i));
    sum_.add(other.sum_micros());
  }

  static constexpr size_t bucket_of(uint64_t micros) noexcept {
    // The bounds grow by 1.6x to 5x, so from the first that shares the bit width it is a few steps.
    size_t i = detail::kFirstByWidth[static_cast<size_t>(std::bit_width(micros))];
    while (i < kBoundsMicros.size() && micros > kBoundsMicros[i]) ++i;
    return i;
  }

 private:
  std::array<Counter, kBuckets> buckets_;
  Counter sum_;
};

// A Histogram for what ten thousand things have one of, and that mostly says one thing: 32 bytes
// until a second bucket is used, which allocates the others.  Not for the data path.
class SmallHistogram {
 public:
  SmallHistogram() = default;
  SmallHistogram(const SmallHistogram&) = delete;
  SmallHistogram& operator=(const SmallHistogram&) = delete;
  ~SmallHistogram() { delete others_.load(std::memory_order_relaxed); }

  void record(Duration d) {
    const int64_t micros = d.count() / 1000;
    const uint64_t value = micros > 0 ? static_cast<uint64_t>(micros) : 0;
    add_to(Histogram::bucket_of(value), 1);
    sum_.add(value);
  }
  [[nodiscard]] uint64_t bucket(size_t i) const noexcept {
    const Buckets* const others = others_.load(std::memory_order_acquire);
    uint64_t n = others == nullptr ? 0 : (*others)[i].value();
    if (first_.load(std::memory_order_relaxed) == i) n += in_first_.value();
    return n;
  }
  [[nodiscard]] uint64_t sum_micros() const noexcept { return sum_.value(); }
  void add(const SmallHistogram& other) {
    for (size_t i = 0; i < Histogram::kBuckets; ++i)
      if (const uint64_t n = other.bucket(i); n != 0) add_to(i, n);
    sum_.add(other.sum_micros());
  }

 private:
  using Buckets = std::array<Counter, Histogram::kBuckets>;
  static constexpr uint32_t kNone = UINT32_MAX;
  void add_to(size_t i, uint64_t n) {
    if (first_.load(std::memory_order_relaxed) == kNone)
      first_.store(static_cast<uint32_t>(i), std::memory_order_relaxed);
    if (first_.load(std::memory_order_relaxed) == i) return in_first_.add(n);
    Buckets* others = others_.load(std::memory_order_relaxed);
    if (others == nullptr) others_.store(others = new Buckets, std::memory_order_release);
    (*others)[i].add(n);
  }

  std::atomic<uint32_t> first_{kNone};  // the bucket that in_first_ is of
  Counter in_first_;
  Counter sum_;
  std::atomic<Buckets*> others_{nullptr};
};

}  // namespace pillion::stats
