#pragma once
// Time in the proxy.  The data path reads loop.now(), which is taken once per turn; only io/, tests
// and off-path code ask a clock directly.

#include <chrono>
#include <cstdint>
#include <ctime>

namespace pillion {

using Duration = std::chrono::nanoseconds;

struct MonotonicClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock, Duration>;
  static constexpr bool is_steady = true;
  static time_point now() noexcept {
    timespec ts{};
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return time_point(std::chrono::seconds(ts.tv_sec) + Duration(ts.tv_nsec));
  }
};

// A moment on the monotonic clock; the epoch means "none".
using Instant = MonotonicClock::time_point;
// A moment people can read (access log, certificates).
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

// What the calling thread has had of a core so far: not what it waited for while others had it.
inline Duration thread_cpu_time() noexcept {
  timespec ts{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
  return std::chrono::seconds(ts.tv_sec) + Duration(ts.tv_nsec);
}

inline WallTime wall_now() noexcept { return std::chrono::system_clock::now(); }
inline int64_t to_millis(Duration d) noexcept {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}

}  // namespace pillion
