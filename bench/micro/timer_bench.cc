// What deadlines cost: a request arms two or three timers and moves one with each piece of body.

#include <benchmark/benchmark.h>

#include <deque>

#include "proxy/io/timer_wheel.h"

namespace pillion::io {
namespace {

using std::chrono::milliseconds;

struct Owner {
  void on_timer() { ++fired; }
  int64_t fired = 0;
};

// A wheel with so many timers of other connections, spread over an hour.
struct Busy {
  explicit Busy(int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      Timer& timer = others.emplace_back(Timer::call<&Owner::on_timer, Owner>(), &owner);
      timer.arm(wheel, now + milliseconds(1000 + i * 3600 * 1000 / count));
    }
  }
  Instant now{std::chrono::hours(100)};
  TimerWheel wheel{now};
  Owner owner;
  std::deque<Timer> others;
};

void ArmAndCancel(benchmark::State& state) {
  Busy busy(state.range(0));
  Timer timer = Timer::of<&Owner::on_timer>(&busy.owner);
  for (auto _ : state) {
    timer.arm(busy.wheel, busy.now + milliseconds(15000));
    timer.cancel();
  }
}
BENCHMARK(ArmAndCancel)->Arg(0)->Arg(10000);

// An idle timeout that every piece moves: one store.
void MoveLater(benchmark::State& state) {
  Busy busy(10000);
  Timer timer = Timer::of<&Owner::on_timer>(&busy.owner);
  Instant at = busy.now + milliseconds(15000);
  for (auto _ : state) {
    at += Duration(1000);
    timer.arm(busy.wheel, at);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(MoveLater);

// All that comes with arming: when does the loop have to wake?
void NextWakeup(benchmark::State& state) {
  Busy busy(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(busy.wheel.next_wakeup());
}
BENCHMARK(NextWakeup)->Arg(1)->Arg(10000);

void ArmAndFire(benchmark::State& state) {
  Busy busy(10000);
  Timer timer = Timer::of<&Owner::on_timer>(&busy.owner);
  for (auto _ : state) {
    timer.arm(busy.wheel, busy.now + milliseconds(20));
    busy.now += milliseconds(20);
    busy.wheel.advance(busy.now);
  }
  state.counters["fired"] = static_cast<double>(busy.owner.fired);
}
BENCHMARK(ArmAndFire);

}  // namespace
}  // namespace pillion::io
