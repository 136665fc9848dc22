#include "proxy/io/timer_wheel.h"

#include <algorithm>
#include <bit>

namespace pillion::io {

void Timer::arm(TimerWheel& wheel, Instant deadline) noexcept {
  deadline_ = deadline;
  if (is_linked()) {
    if (TimerWheel::tick_of(deadline) >= tick_) return;  // looked at again when its slot comes up
    unlink();
  }
  wheel.insert(*this, wheel.current_ + 1);
}

void TimerWheel::insert(Timer& timer, int64_t soonest) noexcept {
  const int64_t tick = std::max(tick_of(timer.deadline_), soonest);
  const int64_t delta = tick - current_;
  int level = 0;
  while (level < kLevels - 1 && delta >= (int64_t{1} << (kBits * (level + 1)))) ++level;
  // Beyond the last level's span the timer waits in its farthest slot and is placed again there.
  const int64_t span = int64_t{1} << (kBits * kLevels);
  const int64_t placed = delta < span ? tick : current_ + span - 1;
  const auto index = static_cast<size_t>((placed >> (kBits * level)) & (kSlots - 1));
  slots_[static_cast<size_t>(level)][index].push_back(timer);
  used_[static_cast<size_t>(level)] |= uint64_t{1} << index;
  const int64_t due = level == 0 ? tick : (placed >> (kBits * level)) << (kBits * level);
  timer.tick_ = due;
  earliest_ = std::min(earliest_, due);
}

Instant TimerWheel::next_wakeup() noexcept {
  int64_t best = kNever;
  for (int level = 0; level < kLevels; ++level) {
    uint64_t& used = used_[static_cast<size_t>(level)];
    const int64_t position = current_ >> (kBits * level);
    while (used != 0) {
      // Rotate so that bit 0 is the slot after the current one.
      const int shift = static_cast<int>((position + 1) & (kSlots - 1));
      const int ahead = std::countr_zero(std::rotr(used, shift));
      const auto index = static_cast<size_t>((position + 1 + ahead) & (kSlots - 1));
      if (slots_[static_cast<size_t>(level)][index].empty()) {
        used &= ~(uint64_t{1} << index);  // its timers were cancelled
        continue;
      }
      best = std::min(best, (position + 1 + ahead) << (kBits * level));
      break;
    }
  }
  announced_ = earliest_ = best;
  return best == kNever ? Instant{} : Instant(best * kSlot);
}

void TimerWheel::cascade(int level) noexcept {
  const auto index = static_cast<size_t>((current_ >> (kBits * level)) & (kSlots - 1));
  if (index == 0 && level + 1 < kLevels) cascade(level + 1);
  used_[static_cast<size_t>(level)] &= ~(uint64_t{1} << index);
  Slot moving;
  moving.splice(slots_[static_cast<size_t>(level)][index]);
  // Those due exactly now go to the slot about to be fired.
  while (Timer* timer = moving.pop_front()) insert(*timer, current_);
}

void TimerWheel::fire(Slot& slot, Instant now) {
  Slot due;
  due.splice(slot);
  while (Timer* timer = due.pop_front()) {
    if (timer->deadline_ > now) {
      insert(*timer, current_ + 1);  // moved later since it was placed
      continue;
    }
    timer->deadline_ = {};
    timer->callback_(timer->owner_);
  }
}

void TimerWheel::advance(Instant now) {
  const int64_t target = now.time_since_epoch() / kSlot;
  while (current_ < target) {
    // Skip ahead over empty slots instead of walking through an hour of sleep.
    const Instant next = next_wakeup();
    const int64_t next_tick = next == Instant{} ? kNever : next.time_since_epoch() / kSlot;
    if (next_tick > target) {
      current_ = target;
      return;
    }
    current_ = next_tick;
    const auto index = static_cast<size_t>(current_ & (kSlots - 1));
    if (index == 0) cascade(1);
    used_[0] &= ~(uint64_t{1} << index);
    fire(slots_[0][index], now);
  }
}

}  // namespace pillion::io
