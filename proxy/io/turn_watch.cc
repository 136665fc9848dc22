#include "proxy/io/turn_watch.h"

#include <algorithm>

namespace pillion::io {
namespace {

// A histogram shows a thousandth of what it keeps: microseconds of these.
void record_nanos(stats::Histogram& histogram, Duration d) noexcept {
  histogram.record_micros(static_cast<uint64_t>(std::max(d.count(), Duration::rep{0})));
}

}  // namespace

void TurnWatch::begin_wait(int limit_ms) noexcept {
  wait_end_ =
      limit_ms < 0 ? Instant{} : MonotonicClock::now() + std::chrono::milliseconds(limit_ms);
}

void TurnWatch::begin_turn() noexcept {
  turn_began_ = MonotonicClock::now();
  // A wait that ended early tells nothing.
  if (wait_end_ != Instant{} && turn_began_ >= wait_end_)
    record_nanos(histograms_.poll_delay, turn_began_ - wait_end_);
  ran_before_ = thread_cpu_time();
}

// A turn in which the watch began is none.
void TurnWatch::end_turn() noexcept {
  if (turn_began_ == Instant{}) return;
  record_nanos(histograms_.loop_cpu, thread_cpu_time() - ran_before_);
  record_nanos(histograms_.loop_duration, MonotonicClock::now() - turn_began_);
  turn_began_ = {};
}

}  // namespace pillion::io
