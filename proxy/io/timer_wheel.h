#pragma once
// Deadlines of one loop: a hierarchical wheel (Varghese and Lauck) with slots of 10 ms.
//
// A Timer is a member of the object it serves; it fires at most 10 ms late and never early.  To
// move the deadline of an armed timer later costs one store: the wheel looks at the real deadline
// when the old slot comes up.  Arming, moving earlier and cancelling are O(1).  The wheel itself
// never wakes the loop without need: next_wakeup() names the next slot in use.

#include <array>
#include <cstdint>

#include "proxy/base/clock.h"
#include "proxy/base/intrusive_list.h"

namespace pillion::io {

class TimerWheel;
struct TimerTag {};

// Not thread-safe.  The callback may arm, cancel or destroy any timer, itself included.
class Timer : public ListNode<TimerTag> {
 public:
  using Callback = void (*)(void* owner);
  Timer(Callback callback, void* owner) noexcept : callback_(callback), owner_(owner) {}
  // The callback that calls a member function, for Timers that are constructed in place.
  template <auto Method, typename T>
  static Callback call() noexcept {
    return [](void* o) { (static_cast<T*>(o)->*Method)(); };
  }
  // A Timer for a member function: `Timer timer_ = Timer::of<&Stream::on_timeout>(this)`.
  template <auto Method, typename T>
  static Timer of(T* owner) noexcept {
    return Timer(call<Method, T>(), owner);
  }
  ~Timer() { cancel(); }

  // Fires once at `deadline`; replaces an earlier arming.
  void arm(TimerWheel& wheel, Instant deadline) noexcept;
  void cancel() noexcept {
    unlink();
    deadline_ = {};
  }
  [[nodiscard]] bool is_armed() const noexcept { return deadline_ != Instant{}; }
  [[nodiscard]] Instant deadline() const noexcept { return deadline_; }

 private:
  friend class TimerWheel;
  Instant deadline_{};
  int64_t tick_ = 0;  // of the slot it is linked in
  Callback callback_;
  void* owner_;
};

class TimerWheel {
 public:
  static constexpr Duration kSlot = std::chrono::milliseconds(10);

  explicit TimerWheel(Instant now) noexcept : current_(now.time_since_epoch() / kSlot) {}

  // Fires what is due at `now`.
  void advance(Instant now);
  // The moment advance() has work to do, or the epoch for never.
  [[nodiscard]] Instant next_wakeup() noexcept;
  // Set when a timer was armed in a slot earlier than the last next_wakeup() result.
  [[nodiscard]] bool needs_rearm() const noexcept { return earliest_ < announced_; }

 private:
  friend class Timer;
  static constexpr int kLevels = 4;
  static constexpr int kBits = 6;
  static constexpr int kSlots = 1 << kBits;
  static constexpr int64_t kNever = INT64_MAX;
  using Slot = IntrusiveList<Timer, TimerTag>;

  // The first tick at which `t` has passed.
  static int64_t tick_of(Instant t) noexcept {
    return (t.time_since_epoch() + kSlot - Duration(1)) / kSlot;
  }
  // `soonest`: the first tick whose slot is still to be fired.
  void insert(Timer& timer, int64_t soonest) noexcept;
  void cascade(int level) noexcept;
  void fire(Slot& slot, Instant now);

  int64_t current_;            // ticks up to here have been fired
  int64_t earliest_ = kNever;  // lower bound over timers armed since next_wakeup()
  int64_t announced_ = kNever;
  std::array<uint64_t, kLevels> used_{};
  std::array<std::array<Slot, kSlots>, kLevels> slots_;
};

}  // namespace pillion::io
