#include "proxy/io/loop.h"

#include <uv.h>

#include <csignal>

#include "proxy/base/assert.h"
#include "proxy/io/socket.h"

namespace pillion::io {
namespace {

// One turn runs at most this many ready tasks, so that a task which posts itself starves nobody.
constexpr int kReadyBudget = 1024;
// How long a drained socket may stay outside epoll (Socket::watch).
constexpr Duration kRegisterDelay = std::chrono::milliseconds(10);

void close_handle(uv_handle_t* handle) {
  if (!uv_is_closing(handle)) uv_close(handle, nullptr);
}

}  // namespace

struct Loop::Impl {
  uv_loop_t loop;
  uv_prepare_t prepare;
  uv_check_t check;
  uv_idle_t again;  // active while ready tasks are left: keeps the loop from sleeping
  uv_timer_t timer;
  uv_async_t stopper;
};

Loop::Loop()
    : impl_(std::make_unique<Impl>()), scratch_(new char[kScratchBytes]), wheel_(MonotonicClock::now()) {
  // splice(2) knows no MSG_NOSIGNAL: a peer that is gone would end the process.
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  Impl& i = *impl_;
  ASSERT(uv_loop_init(&i.loop) == 0);
  i.loop.data = this;
  uv_prepare_init(&i.loop, &i.prepare);
  uv_check_init(&i.loop, &i.check);
  uv_idle_init(&i.loop, &i.again);
  uv_timer_init(&i.loop, &i.timer);
  ASSERT(uv_async_init(&i.loop, &i.stopper, [](uv_async_t* a) { uv_stop(a->loop); }) == 0);
  // Work is left at both ends: timers run before prepare, readiness before check.
  uv_prepare_start(&i.prepare, [](uv_prepare_t* h) { static_cast<Loop*>(h->loop->data)->end_of_turn(); });
  uv_check_start(&i.check, [](uv_check_t* h) { static_cast<Loop*>(h->loop->data)->end_of_turn(); });
  uv_handle_t* const quiet[] = {
      reinterpret_cast<uv_handle_t*>(&i.prepare), reinterpret_cast<uv_handle_t*>(&i.check),
      reinterpret_cast<uv_handle_t*>(&i.timer), reinterpret_cast<uv_handle_t*>(&i.again)};
  for (uv_handle_t* h : quiet) uv_unref(h);
}

Loop::~Loop() {
  end_of_turn();
  Impl& i = *impl_;
  register_timer_.cancel();
  close_handle(reinterpret_cast<uv_handle_t*>(&i.prepare));
  close_handle(reinterpret_cast<uv_handle_t*>(&i.check));
  close_handle(reinterpret_cast<uv_handle_t*>(&i.again));
  close_handle(reinterpret_cast<uv_handle_t*>(&i.timer));
  close_handle(reinterpret_cast<uv_handle_t*>(&i.stopper));
  // Only what is closing is waited for: a handle left open is an error, not a reason to hang.
  constexpr int kMostTurns = 100;
  for (int turn = 0; turn < kMostTurns && uv_loop_alive(&i.loop) != 0; ++turn) {
    uv_run(&i.loop, UV_RUN_NOWAIT);
  }
  ASSERT(uv_loop_close(&i.loop) == 0);
}

void* Loop::native() noexcept { return &impl_->loop; }

void Loop::run() { uv_run(&impl_->loop, UV_RUN_DEFAULT); }

void Loop::run_once(bool wait) { uv_run(&impl_->loop, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT); }

void Loop::stop() noexcept { uv_async_send(&impl_->stopper); }

void Loop::end_of_turn() {
  ++counts.turns;
  for (int budget = kReadyBudget; budget > 0 && !ready_.empty(); --budget) {
    ready_.pop_front()->run_ready();
  }
  // Destructors may close more; those die in the same pass.
  while (Deferred* object = dead_.pop_front()) delete object;
  ready_.splice(next_);
  if (ready_.empty()) {
    uv_idle_stop(&impl_->again);
  } else {
    uv_idle_start(&impl_->again, [](uv_idle_t*) {});
  }
  now_ = {};
}

void Loop::rearm() noexcept {
  const Instant next = wheel_.next_wakeup();
  if (next == Instant{}) {
    uv_timer_stop(&impl_->timer);
    return;
  }
  // libuv counts in whole milliseconds of the same clock, rounded down: aimed at the deadline
  // itself it never fires early, which would cost a second wake-up.
  uv_update_time(&impl_->loop);
  const Duration real = next.time_since_epoch() - skipped_ + std::chrono::milliseconds(1) - Duration(1);
  const auto due = static_cast<uint64_t>(to_millis(real));
  const uint64_t uv_now_ms = uv_now(&impl_->loop);
  const uint64_t ms = due > uv_now_ms ? due - uv_now_ms : 0;
  uv_timer_start(
      &impl_->timer, [](uv_timer_t* t) { static_cast<Loop*>(t->loop->data)->on_wheel(); }, ms, 0);
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
