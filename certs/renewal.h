#pragma once
// Renewal: when a certificate is asked for again.  The one rule of all sources that ask:
//
//   good     at half of its life, less up to a tenth of its life (jitter: a thousand sidecars that
//            were started at once do not come back at once); never sooner than kSoonest
//            by the clock that comes there first: the wall clock may jump, and the other one stands
//            still while a machine sleeps
//   failed   after base, 2 base, 4 base ... up to the longest, of each a random part (full jitter)
//
// One timer; single-threaded; its task outlives it.  The pure functions are for tests, and for who
// has a timer of his own.

#include <cstdint>
#include <functional>
#include <utility>

#include "proxy/base/clock.h"
#include "proxy/base/rng.h"
#include "proxy/io/loop.h"

namespace pillion::certs {

struct Backoff {
  Duration base = std::chrono::milliseconds(500);
  Duration longest = std::chrono::seconds(30);
};

// `now`, `not_before` and `not_after`: wall-clock times.  kSoonest if half of its life is over.
Duration until_renewal(WallTime now, WallTime not_before, WallTime not_after, Rng& rng) noexcept;
// Before the next try after so many failures in a row (1, 2 ...).
Duration until_retry(const Backoff& backoff, uint32_t failures, Rng& rng) noexcept;

inline constexpr Duration kSoonest = std::chrono::seconds(1);
// How late it is seen at most that the wall clock has jumped.
inline constexpr Duration kLongestSleep = std::chrono::minutes(10);

class RenewalTask {
 public:
  // It is time to ask.  Never inside another call of Renewal.
  virtual void on_renewal_due() = 0;

 protected:
  ~RenewalTask() = default;
};

class Renewal {
 public:
  Renewal(io::Loop& loop, Rng& rng, RenewalTask& task, Backoff backoff = {},
          std::function<WallTime()> clock = wall_now)
      : loop_(loop), rng_(rng), task_(task), backoff_(backoff), clock_(std::move(clock)) {}
  Renewal(const Renewal&) = delete;
  Renewal& operator=(const Renewal&) = delete;

  // A certificate came that is valid so long.
  void succeeded(WallTime now, WallTime not_before, WallTime not_after);
  // None came.
  void failed();
  void cancel() noexcept { timer_.cancel(); }
  [[nodiscard]] uint32_t failures() const noexcept { return failures_; }
  [[nodiscard]] bool is_armed() const noexcept { return timer_.is_armed(); }

 private:
  void on_timer();
  void arm();

  io::Loop& loop_;
  Rng& rng_;
  RenewalTask& task_;
  const Backoff backoff_;
  const std::function<WallTime()> clock_;
  uint32_t failures_ = 0;
  // When it is time, by either clock.
  Instant due_{};
  WallTime wall_due_{};
  io::Timer timer_ = io::Timer::of<&Renewal::on_timer>(this);
};

}  // namespace pillion::certs
