#pragma once
// Poller: readiness of the descriptors of one loop, by an epoll instance of its own.
//
// The loop sleeps in Poller::poll().  libuv's own epoll descriptor is one of those watched here:
// what is libuv's (wake-ups, signals, file watching, DNS) runs only in turns in which it has
// something to say.
//
// Level-triggered.  Not thread-safe.  A Pollable is removed before its descriptor is closed; events
// of the current batch that were its are dropped.

#include <sys/epoll.h>

#include <cstdint>

#include "proxy/io/ready_task.h"

namespace pillion::io {

// Has a descriptor in the loop's epoll.  A ReadyTask too because all of them are: one vtable for
// both.
class Pollable : public ReadyTask {
 public:
  // `events`: EPOLLIN ...; EPOLLERR and EPOLLHUP come unasked.
  virtual void on_poll(uint32_t events) = 0;

 protected:
  ~Pollable() = default;
};

class Poller {
 public:
  Poller();
  ~Poller();  // asserts that nothing is watched any more
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Calls match: add change* remove.  Both return 0 or an errno, and then nothing has changed: the
  // kernel has no memory, or the user no watches (fs.epoll.max_user_watches), left.  The node's
  // other processes share both, so it is no reason to end: what the descriptor is for fails.
  [[nodiscard]] int add(Pollable& pollable, int fd, uint32_t events) noexcept;
  [[nodiscard]] int change(Pollable& pollable, int fd, uint32_t events) noexcept;
  void remove(Pollable& pollable, int fd) noexcept;
  // Does the current batch have an event of it that was not delivered yet?
  [[nodiscard]] bool is_pending(const Pollable& pollable) const noexcept {
    for (int i = next_; i < count_; ++i) {
      if (batch_[i].data.ptr == &pollable) return true;
    }
    return false;
  }
  // The one descriptor whose readiness poll() returns instead of delivering it.  Asserts: a loop
  // cannot begin without.
  void add_foreign(int fd);

  // Any thread: descriptors that a poller of this process was refused.
  static uint64_t refusals() noexcept;
  // Counts and logs one more, and returns `error`.
  static int note_refusal(int error) noexcept;

  // Waits for at most `timeout_ms` (-1: without end) for one batch of events.
  void wait(int timeout_ms);
  // Delivers the batch.  True when the foreign descriptor is ready.
  bool deliver();
  bool poll(int timeout_ms) {
    wait(timeout_ms);
    return deliver();
  }

 private:
  // Sockets with more events than fit wait for the next turn; the kernel goes round among them.
  static constexpr int kBatch = 256;

  int fd_;
  int watched_ = 0;
  int next_ = 0;  // of batch_, while it is being delivered
  int count_ = 0;
  epoll_event batch_[kBatch];
};

}  // namespace pillion::io
