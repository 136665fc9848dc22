#include "proxy/io/loop.h"

#include <uv.h>

#include <algorithm>
#include <csignal>

#include "proxy/base/assert.h"
#include "proxy/io/socket.h"
#include "proxy/io/turn_watch.h"

namespace pillion::io {
namespace {

// One turn runs at most this many ready tasks, so that a task which posts itself starves nobody.
constexpr int kReadyBudget = 1024;
// How long a drained socket may stay outside epoll (Socket::watch).
constexpr Duration kRegisterDelay = std::chrono::milliseconds(10);

}  // namespace

struct Loop::Impl {
  uv_loop_t loop;
  uv_async_t stopper;
};

Loop::Loop()
    : impl_(std::make_unique<Impl>()),
      scratch_(new char[kScratchBytes]),
      wheel_(MonotonicClock::now()) {
  // splice(2) knows no MSG_NOSIGNAL: a peer that is gone would end the process.
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  Impl& i = *impl_;
  ASSERT(uv_loop_init(&i.loop) == 0);
  i.loop.data = this;
  ASSERT(uv_async_init(&i.loop, &i.stopper, [](uv_async_t* a) {
           static_cast<Loop*>(a->loop->data)->stopping_ = true;
         }) == 0);
  poller_.add_foreign(uv_backend_fd(&i.loop));
}

Loop::~Loop() {
  end_of_turn();
  Impl& i = *impl_;
  register_timer_.cancel();
  uv_close(reinterpret_cast<uv_handle_t*>(&i.stopper), nullptr);
  // Only what is closing is waited for: a handle left open is an error, not a reason to hang.
  constexpr int kMostTurns = 100;
  for (int turn = 0; turn < kMostTurns && uv_loop_alive(&i.loop) != 0; ++turn) {
    uv_run(&i.loop, UV_RUN_NOWAIT);
  }
  ASSERT(uv_loop_close(&i.loop) == 0);
}

void* Loop::native() noexcept { return &impl_->loop; }

void Loop::run() {
  while (!stopping_) run_once(true);
  stopping_ = false;
}

void Loop::run_once(bool wait) {
  const int limit = wait ? wait_limit() : 0;
  if (turns_ != nullptr) turns_->begin_wait(limit);
  poller_.wait(limit);
  if (turns_ != nullptr) turns_->begin_turn();
  const bool uv_ready = poller_.deliver();
  // libuv also wants to run for what no descriptor tells: handles to close, watchers to register.
  if (uv_ready || uv_backend_timeout(&impl_->loop) == 0) uv_run(&impl_->loop, UV_RUN_NOWAIT);
  if (due_ != Instant{} && now() >= due_) on_wheel();
  end_of_turn();
  if (turns_ != nullptr) turns_->end_turn();
}

void Loop::stop() noexcept { uv_async_send(&impl_->stopper); }

// Milliseconds, -1 for without end.
int Loop::wait_limit() noexcept {
  if (!ready_.empty() || !dead_.empty() || uv_backend_timeout(&impl_->loop) == 0) return 0;
  if (due_ == Instant{}) return -1;
  const Duration left = due_ - now();
  now_ = {};  // it will be later
  if (left <= Duration{}) return 0;
  // Rounded up: too early would cost a second wake-up.
  constexpr Duration kLongest = std::chrono::hours(1);
  return static_cast<int>(
      to_millis(std::min(left, kLongest) + std::chrono::milliseconds(1) - Duration(1)));
}

void Loop::end_of_turn() {
  ++counts.turns;
  for (int budget = kReadyBudget; budget > 0 && !ready_.empty(); --budget) {
    ready_.pop_front()->run_ready();
  }
  if (flusher_ != nullptr && flusher_->is_linked()) {
    flusher_->unlink();
    flusher_->run_ready();
  }
  // Destructors may close more; those die in the same pass.
  while (Deferred* object = dead_.pop_front()) delete object;
  ready_.splice(next_);
  connects_ = kConnectsPerTurn;
  now_ = {};
}

void Loop::on_wheel() {
  now_ = {};
  wheel_.advance(now());
  rearm();
}

void Loop::register_soon(Socket& socket) noexcept {
  unregistered_.push_back(socket);
  if (!register_timer_.is_armed()) arm(register_timer_, kRegisterDelay);
}

void Loop::register_waiting() {
  while (Socket* socket = unregistered_.pop_front()) socket->watch();
}

}  // namespace pillion::io
