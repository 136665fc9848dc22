#include "proxy/base/background_queue.h"

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

namespace pillion {
namespace {

// Threads that have not come to their end.  Never freed: it may be asked for at any time.
struct Threads {
  std::mutex mutex;
  std::condition_variable none;
  size_t count = 0;
};
Threads& threads() {
  static Threads* const all = new Threads;
  return *all;
}

}  // namespace

struct BackgroundQueue::State {
  std::stop_source stop;
  std::mutex mutex;
  std::condition_variable idle;
  std::deque<Job> jobs;
  bool is_running = false;  // there is a thread
};

BackgroundQueue::BackgroundQueue() : state_(std::make_shared<State>()) {}

BackgroundQueue::~BackgroundQueue() { stop(); }

void BackgroundQueue::post(Job job) {
  if (state_->stop.stop_requested()) return;
  {
    const std::lock_guard lock(state_->mutex);
    state_->jobs.push_back(std::move(job));
    if (std::exchange(state_->is_running, true)) return;
  }
  {
    Threads& all = threads();
    const std::lock_guard lock(all.mutex);
    ++all.count;
  }
  // Joined by nobody: even the end of a thread may take long when the cores are busy.
  std::thread([state = state_] { run(state); }).detach();
}

void BackgroundQueue::run(const std::shared_ptr<State>& state) {
  const std::stop_token stop = state->stop.get_token();
  while (true) {
    Job job;
    {
      const std::lock_guard lock(state->mutex);
      if (state->jobs.empty()) {
        state->is_running = false;
        state->idle.notify_all();
        break;
      }
      job = std::move(state->jobs.front());
      state->jobs.pop_front();
    }
    job(stop);
  }
  Threads& all = threads();
  const std::lock_guard lock(all.mutex);
  if (--all.count == 0) all.none.notify_all();
}

void BackgroundQueue::stop() {
  std::deque<Job> dropped;
  {
    const std::lock_guard lock(state_->mutex);
    dropped.swap(state_->jobs);
  }
  // Behind that, or the job that runs would end and the next one begin.
  state_->stop.request_stop();
}

void BackgroundQueue::wait() {
  std::unique_lock lock(state_->mutex);
  state_->idle.wait(lock, [this] { return !state_->is_running; });
}

void BackgroundQueue::wait_for_all() {
  Threads& all = threads();
  std::unique_lock lock(all.mutex);
  all.none.wait(lock, [&all] { return all.count == 0; });
}

bool BackgroundQueue::wait_for_all(Duration patience) {
  Threads& all = threads();
  std::unique_lock lock(all.mutex);
  return all.none.wait_for(lock, patience, [&all] { return all.count == 0; });
}

}  // namespace pillion
