#pragma once
// Turns a loop until something has happened, or, in a test that is about to fail, for ten seconds.

#include <chrono>

#include "proxy/io/loop.h"

namespace pillion::testing {

template <typename Condition>
bool run_until(io::Loop& loop, Condition&& condition,
               Duration patience = std::chrono::seconds(10)) {
  struct Limit {
    void pass() { passed = true; }
    bool passed = false;
  } limit;
  io::Timer timer = io::Timer::of<&Limit::pass>(&limit);
  loop.arm(timer, patience);
  while (!condition() && !limit.passed) {
    // What is ready runs before the loop waits, and might be all that there is to wait for.
    loop.run_once(false);
    if (!condition() && !limit.passed) loop.run_once(true);
  }
  return condition();
}

// Lets time pass for a loop that must not do a certain thing meanwhile.
inline void run_for(io::Loop& loop, Duration duration) {
  (void)run_until(loop, [] { return false; }, duration);
}

}  // namespace pillion::testing
