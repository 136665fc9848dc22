#pragma once
// HandshakeQueue: bounds how long handshakes may keep a loop from other work.
//
// A step of a handshake costs up to 0.2 ms of public-key arithmetic.  The first step of a turn runs
// at once; further ones wait here, first come first served, and each turn of the loop makes one.  A
// turn more costs a system call, half a percent of a step; so a storm of new connections delays an
// event of the old ones by a step or two, however many there are.

#include <cstdint>

#include "proxy/base/intrusive_list.h"
#include "proxy/io/loop.h"

namespace pillion::tls {

struct HandshakeTag {};

class HandshakeTask : public ListNode<HandshakeTag> {
 public:
  // A step may be made now.  May destroy or close this and other tasks.
  virtual void run_handshake() = 0;

 protected:
  ~HandshakeTask() = default;
};

// One per thread, used with one loop at a time.
class HandshakeQueue final : private io::ReadyTask {
 public:
  static constexpr int kStepsPerTurn = 1;
  static HandshakeQueue& of_thread();

  // True: make the step now.  False: `task` is queued and will be run.
  bool admit(io::Loop& loop, HandshakeTask& task);

 private:
  void run_ready() override;
  void enter_turn() noexcept;

  io::Loop* loop_ = nullptr;
  uint64_t turn_ = 0;
  int steps_left_ = 0;
  IntrusiveList<HandshakeTask, HandshakeTag> waiting_;
};

}  // namespace pillion::tls
