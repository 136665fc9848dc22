#pragma once
// Loop: one thread's event loop and the rules of a turn (design section 5).
//
// A turn: readiness (Poller), then what libuv has (wake-ups, signals, file watching, DNS), then
// timers are delivered; then the ready queue runs until it is empty or its budget is spent; then
// closed objects are destroyed.  Everything below belongs to the loop's thread, except stop() and
// Inbox::post().  The loop outlives all that uses it.

#include <cstdint>
#include <memory>
#include <span>

#include "proxy/base/clock.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/io/deferred.h"
#include "proxy/io/poller.h"
#include "proxy/io/ready_task.h"
#include "proxy/io/timer_wheel.h"

namespace pillion::io {

class Socket;
class TurnWatch;

class Loop {
 public:
  static constexpr size_t kScratchBytes = 256 * 1024;
  static constexpr uint32_t kConnectsPerTurn = 16;

  Loop();
  ~Loop();  // all users are gone; asserts that no handle is left open
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until stop().  run_once() makes one turn, waiting for events only if `wait`.
  void run();
  void run_once(bool wait);
  // From any thread.
  void stop() noexcept;

  // The time of this turn; the clock is read at most once a turn.
  Instant now() noexcept {
    if (now_ == Instant{}) now_ = MonotonicClock::now() + skipped_;
    return now_;
  }
  // For tests: so much time passes at once, and what is due by then fires.
  void skip(Duration time) {
    skipped_ += time;
    on_wheel();
  }
  // Bytes are read here and parsed and forwarded from here; content lives until the next read.
  [[nodiscard]] std::span<char> scratch() noexcept { return {scratch_.get(), kScratchBytes}; }

  void arm(Timer& timer, Duration delay) noexcept { arm_at(timer, now() + delay); }
  void arm_at(Timer& timer, Instant deadline) noexcept {
    timer.arm(wheel_, deadline);
    if (wheel_.needs_rearm()) rearm();
  }
  // Runs the task later in this turn.  Idempotent while queued.
  void post(ReadyTask& task) noexcept {
    if (!task.is_linked()) ready_.push_back(task);
  }
  // Runs the task in the next turn, after events were delivered: for work in portions that others
  // must not wait for.  Idempotent while queued.
  void post_next(ReadyTask& task) noexcept {
    if (!task.is_linked()) next_.push_back(task);
  }
  // May one more connection be opened in this turn?  A connect costs the kernel more than a request
  // costs us, so that whoever wants hundreds of them gets some each turn.  If not: post_next().
  [[nodiscard]] bool may_connect() const noexcept { return connects_ != 0; }
  void count_connect() noexcept { connects_ -= connects_ != 0 ? 1 : 0; }

  // Measures the turns from now on; null: nobody does.  It outlives the loop, or the next call.
  void watch_turns(TurnWatch* watch) noexcept { turns_ = watch; }

  // The task that writes out what was gathered: it always runs before the dead are buried, whatever
  // else is left for the next turn, because what it gathered may lie in them.  One per loop; null
  // for none.
  void set_flusher(ReadyTask* task) noexcept { flusher_ = task; }
  // Takes over a closed object and destroys it at the end of the turn.
  void delete_later(std::unique_ptr<Deferred> object) noexcept {
    dead_.push_back(*object.release());
  }
  template <typename T>
  void delete_later(T* object) noexcept {
    delete_later(std::unique_ptr<Deferred>(object));
  }

  // The uv_loop_t and the loop's own epoll, for .cc files of io/ only.
  [[nodiscard]] void* native() noexcept;
  [[nodiscard]] Poller& poller() noexcept { return poller_; }

  // Counted by io/ and asserted by tests/perf: system calls of the data path.
  struct Counts {
    uint64_t reads = 0;
    uint64_t writes = 0;
    uint64_t poll_changes = 0;
    uint64_t turns = 0;
  };
  Counts counts;

 private:
  friend class Socket;
  struct Impl;
  [[nodiscard]] int wait_limit() noexcept;
  void end_of_turn();
  void rearm() noexcept { due_ = wheel_.next_wakeup(); }
  void on_wheel();
  // Sockets that read all there was but have not entered epoll: they do at the next tick, unless
  // they are closed or idle (and so registered) before it.
  void register_soon(Socket& socket) noexcept;
  void register_waiting();

  std::unique_ptr<Impl> impl_;
  std::unique_ptr<char[]> scratch_;
  Poller poller_;
  ReadyTask* flusher_ = nullptr;
  TurnWatch* turns_ = nullptr;
  Instant now_{};
  Duration skipped_{};
  TimerWheel wheel_;
  Instant due_{};  // when the wheel has work; the epoch: never
  bool stopping_ = false;
  uint32_t connects_ = kConnectsPerTurn;  // left of this turn
  IntrusiveList<ReadyTask, ReadyTag> ready_;
  IntrusiveList<ReadyTask, ReadyTag> next_;  // becomes ready_ at the end of the turn
  DeadQueue dead_;
  IntrusiveList<Socket, ReadyTag> unregistered_;
  Timer register_timer_ = Timer::of<&Loop::register_waiting>(this);
};

}  // namespace pillion::io
