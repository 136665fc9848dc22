#include "proxy/io/signals.h"

#include <uv.h>

#include "proxy/base/assert.h"
#include "proxy/io/loop.h"

namespace pillion::io {

struct Signals::State {
  uv_signal_t handle;
  SignalObserver* observer;
};

Signals::Signals(Loop& loop, std::initializer_list<int> signals, SignalObserver& observer) {
  const auto on_signal = [](uv_signal_t* h, int signal) {
    SignalObserver* to = reinterpret_cast<State*>(h)->observer;
    if (to != nullptr) to->on_signal(signal);
  };
  for (const int signal : signals) {
    auto* state = new State;
    state->observer = &observer;
    states_.push_back(state);
    ASSERT(uv_signal_init(static_cast<uv_loop_t*>(loop.native()), &state->handle) == 0);
    // Fails for SIGKILL and numbers that are no signals: a mistake of ours.
    ASSERT(uv_signal_start(&state->handle, on_signal, signal) == 0);
    uv_unref(reinterpret_cast<uv_handle_t*>(&state->handle));
  }
}

Signals::~Signals() {
  for (State* state : states_) {
    state->observer = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(&state->handle),
             [](uv_handle_t* h) { delete reinterpret_cast<State*>(h); });
  }
}

}  // namespace pillion::io
