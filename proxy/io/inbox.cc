#include "proxy/io/inbox.h"

#include <uv.h>

#include "proxy/base/assert.h"
#include "proxy/io/loop.h"

namespace pillion::io {

struct Inbox::State {
  uv_async_t async;
  Inbox* inbox;
};

Inbox::Inbox(Loop& loop) : state_(new State) {
  state_->inbox = this;
  const int rc =
      uv_async_init(static_cast<uv_loop_t*>(loop.native()), &state_->async, [](uv_async_t* a) {
        Inbox* inbox = reinterpret_cast<State*>(a)->inbox;
        if (inbox != nullptr) inbox->run_posted();
      });
  ASSERT(rc == 0);
}

Inbox::~Inbox() {
  state_->inbox = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&state_->async),
           [](uv_handle_t* h) { delete reinterpret_cast<State*>(h); });
}

void Inbox::unref() noexcept { uv_unref(reinterpret_cast<uv_handle_t*>(&state_->async)); }

void Inbox::push(std::unique_ptr<Message> message, bool wakes) {
  const std::lock_guard lock(mutex_);
  waiting_.push_back(std::move(message));
  // Inside the lock: the destructor's uv_close cannot come between.
  if (wakes) uv_async_send(&state_->async);
}

void Inbox::wake() {
  const std::lock_guard lock(mutex_);
  uv_async_send(&state_->async);
}

void Inbox::run_posted() {
  std::vector<std::unique_ptr<Message>> batch;
  {
    const std::lock_guard lock(mutex_);
    batch.swap(waiting_);
  }
  State* const state = state_;
  for (auto& message : batch) {
    message->run();
    if (state->inbox == nullptr) return;  // destroyed by that message
  }
}

}  // namespace pillion::io
