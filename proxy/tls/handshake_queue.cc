#include "proxy/tls/handshake_queue.h"

namespace pillion::tls {

HandshakeQueue& HandshakeQueue::of_thread() {
  thread_local HandshakeQueue queue;
  return queue;
}

void HandshakeQueue::enter_turn() noexcept {
  if (loop_->counts.turns == turn_) return;
  turn_ = loop_->counts.turns;
  steps_left_ = kStepsPerTurn;
}

bool HandshakeQueue::admit(io::Loop& loop, HandshakeTask& task) {
  if (task.is_linked()) return false;
  if (loop_ != &loop) {
    loop_ = &loop;
    steps_left_ = kStepsPerTurn;
    turn_ = loop.counts.turns;
  }
  enter_turn();
  if (steps_left_ > 0 && waiting_.empty()) {
    --steps_left_;
    return true;
  }
  waiting_.push_back(task);
  loop.post(*this);
  return false;
}

void HandshakeQueue::run_ready() {
  enter_turn();
  while (steps_left_ > 0) {
    HandshakeTask* task = waiting_.pop_front();
    if (task == nullptr) return;
    --steps_left_;
    task->run_handshake();
  }
  // Events come first; meanwhile nobody who is new overtakes.
  if (!waiting_.empty()) loop_->post_next(*this);
}

}  // namespace pillion::tls
