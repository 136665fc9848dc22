#pragma once
// Slice: how long one piece of work may hold a loop that does everything else too.  What is left
// comes in the next turn (io::Loop::post_next).
//
//   const Slice slice;
//   while (there is more) {
//     do some;
//     if (slice.is_over()) return loop.post_next(task);
//   }

#include <chrono>

#include "proxy/base/clock.h"

namespace pillion {

class Slice {
 public:
  // Control's; workers have requests to answer, and less to spare.
  explicit Slice(Duration length = std::chrono::milliseconds(2)) noexcept
      : end_(MonotonicClock::now() + length) {}
  [[nodiscard]] bool is_over() const noexcept { return MonotonicClock::now() >= end_; }

 private:
  const Instant end_;
};

}  // namespace pillion
