#pragma once
// BackgroundQueue: jobs that may take long, one after the other on a thread of their own, for a
// loop that must not wait: it neither waits for a job nor for the end of a thread.
//
//   queue.post([](const std::stop_token& stop) { ... });   // returns at once
//
// The thread is there only while there are jobs.  It runs like any other: a job that leaves the
// cores to requests calls stand_back() itself (background_thread.h), which lasts until the queue
// has run empty.
//
// Calls come from one thread at a time.  stop() drops what has not begun and tells the job
// that runs; that one may outlive the queue, so that what it uses is shared with it, or the owner
// calls wait() after stop().  Nobody may wait_for_all() while a queue gets further jobs; a process
// does before its statics end.

#include <functional>
#include <memory>
#include <stop_token>

#include "proxy/base/clock.h"

namespace pillion {

class BackgroundQueue {
 public:
  // `stop`: nobody wants the result any more.
  using Job = std::function<void(const std::stop_token& stop)>;

  BackgroundQueue();
  ~BackgroundQueue();  // stop()
  BackgroundQueue(const BackgroundQueue&) = delete;
  BackgroundQueue& operator=(const BackgroundQueue&) = delete;

  // Not after stop(): the job is dropped.  Where the system gives no thread and no reserve is kept
  // it runs at once, on the caller's.
  void post(Job job);
  void stop();
  // Until no job runs.
  void wait();
  // Of all queues there were.
  static void wait_for_all();
  // False: there still is one.
  static bool wait_for_all(Duration patience);

  // From here on a thread is kept for queues to which the system gives none (the limit of a pod's
  // pids, which others of the pod use up): one after the other, late, but their jobs run.
  static void keep_reserve();

 private:
  struct State;
  struct Reserve;
  static Reserve& reserve();
  static void run(const std::shared_ptr<State>& state);

  const std::shared_ptr<State> state_;
};

}  // namespace pillion
