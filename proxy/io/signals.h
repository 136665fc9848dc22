#pragma once
// Signals: POSIX signals as callbacks on a loop's thread (the handler itself only writes to a
// pipe).
//
// One loop of the process, control's, owns the Signals.  While it lives, its signals lose their
// default action; its destructor gives that back.  It does not keep the loop awake or alive.

#include <initializer_list>
#include <vector>

namespace pillion::io {

class Loop;

class SignalObserver {
 public:
  // Several deliveries of one signal within a turn may be told as one.
  virtual void on_signal(int signal) = 0;

 protected:
  ~SignalObserver() = default;
};

class Signals {
 public:
  // On the loop's thread, or before it runs.  `loop` and `observer` outlive it.
  Signals(Loop& loop, std::initializer_list<int> signals, SignalObserver& observer);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  struct State;
  std::vector<State*> states_;  // each frees itself after libuv has let go of it
};

}  // namespace pillion::io
