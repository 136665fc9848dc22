#pragma once
// TurnWatch: how long the turns of a loop take (bootstrap: enable_dispatcher_stats), which is how
// long whoever comes meanwhile waits.
//
// Owned by whoever owns the loop, on its thread.  Loop::watch_turns() begins; the loop calls
// begin_wait, begin_turn and end_turn in this order.  Three reads of a clock and two system calls a
// turn: only who asks for it pays.

#include "proxy/base/clock.h"
#include "proxy/stats/counter.h"

namespace pillion::io {

class TurnWatch {
 public:
  // Rows of a block of this thread, in microseconds (Envoy's names and their meaning); it outlives
  // the object.
  struct Histograms {
    stats::Histogram& loop_duration;  // from the end of a wait to the end of the turn
    stats::Histogram& poll_delay;     // how much longer than asked for a wait took
    stats::Histogram& loop_cpu;       // what the thread ran in a turn
  };
  explicit TurnWatch(const Histograms& histograms) : histograms_(histograms) {}

  // `limit_ms`: as for epoll_wait().
  void begin_wait(int limit_ms) noexcept;
  void begin_turn() noexcept;
  void end_turn() noexcept;

 private:
  Histograms histograms_;
  Instant wait_end_{};  // when the wait should be over; the epoch: it has no end
  Instant turn_began_{};
  Duration ran_before_{};  // the thread, before the turn
};

}  // namespace pillion::io
