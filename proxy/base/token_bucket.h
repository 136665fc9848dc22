#pragma once
// TokenBucket: so many tokens at most, which come back evenly; shared by threads without a lock.
//
// All of it is one word, the moment since which tokens have been gathering: it moves forward by the
// price of a token with each that is taken (Envoy's AtomicTokenBucket and, for networks, the
// generic cell rate algorithm work like that).  A relaxed load and a compare-exchange a call, on a
// cache line of its own.
//
// Time is counted in ticks of 2^shift nanoseconds; the shift is 0 unless it takes longer to fill
// the bucket than a count of nanoseconds can say (200,000 tokens that come one a day).

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "proxy/base/clock.h"

namespace pillion {

class alignas(64) TokenBucket {
 public:
  // Full at first; `tokens_per_fill` come in each `fill_interval`.  None of them is zero.
  TokenBucket(uint32_t max_tokens, uint32_t tokens_per_fill, Duration fill_interval) noexcept
      : shift_(shift_of(max_tokens, price_of(tokens_per_fill, fill_interval))),
        price_(price_of(tokens_per_fill, fill_interval) >> shift_),
        max_tokens_(max_tokens) {}

  bool try_take(Instant now) noexcept {
    const int64_t time = ticks(now);
    int64_t since = since_.load(std::memory_order_relaxed);
    for (;;) {
      const int64_t next = std::max(since, time - price_ * max_tokens_) + price_;
      if (next > time) return false;
      if (since_.compare_exchange_weak(since, next, std::memory_order_relaxed)) return true;
    }
  }
  [[nodiscard]] uint32_t max_tokens() const noexcept { return static_cast<uint32_t>(max_tokens_); }
  [[nodiscard]] uint32_t remaining(Instant now) const noexcept {
    const int64_t gathered = (ticks(now) - since()) / price_;
    return static_cast<uint32_t>(std::clamp<int64_t>(gathered, 0, max_tokens_));
  }
  // Until there is one; 0 if there is.
  [[nodiscard]] Duration until_next(Instant now) const noexcept {
    return Duration(std::max<int64_t>(since() + price_ - ticks(now), 0) << shift_);
  }

 private:
  static constexpr int64_t kMostTicks = int64_t{1} << 61;  // of a full bucket

  static int64_t price_of(uint32_t tokens_per_fill, Duration fill_interval) noexcept {
    return std::max<int64_t>(fill_interval.count() / tokens_per_fill, 1);
  }
  static unsigned shift_of(uint32_t max_tokens, int64_t price) noexcept {
    unsigned shift = 0;
    while (price >> shift > kMostTicks / max_tokens) ++shift;
    return shift;
  }
  [[nodiscard]] int64_t ticks(Instant time) const noexcept {
    return time.time_since_epoch().count() >> shift_;
  }
  [[nodiscard]] int64_t since() const noexcept { return since_.load(std::memory_order_relaxed); }

  std::atomic<int64_t> since_{INT64_MIN / 2};
  const unsigned shift_;
  const int64_t price_;  // of a token, in ticks
  const int64_t max_tokens_;
};

}  // namespace pillion
