#include "proxy/base/background_queue.h"

#include <pthread.h>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
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
// Joined by nobody: even the end of a thread may take long when the cores are busy.  False: the
// system gives none, of which std::thread tells by an exception.
bool begin_thread(std::function<void()> life) {
  pthread_attr_t detached;
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  auto owned = std::make_unique<std::function<void()>>(std::move(life));
  const auto begin = [](void* given) -> void* {
    const std::unique_ptr<std::function<void()>> taken(static_cast<std::function<void()>*>(given));
    (*taken)();
    return nullptr;
  };
  pthread_t thread{};
  const bool has_begun = pthread_create(&thread, &detached, begin, owned.get()) == 0;
  pthread_attr_destroy(&detached);
  if (has_begun) static_cast<void>(owned.release());
  return has_begun;
}

void end_of_thread() {
  Threads& all = threads();
  const std::lock_guard lock(all.mutex);
  if (--all.count == 0) all.none.notify_all();
}

}  // namespace

struct BackgroundQueue::State {
  std::stop_source stop;
  std::mutex mutex;
  std::condition_variable idle;
  std::deque<Job> jobs;
  bool is_running = false;  // there is a thread
};

// A thread that waits for queues which were given none.  Never freed, for it never ends.
struct BackgroundQueue::Reserve {
  std::mutex mutex;
  std::condition_variable come;
  std::deque<std::shared_ptr<State>> waiting;
  bool is_there = false;
};

BackgroundQueue::Reserve& BackgroundQueue::reserve() {
  static Reserve* const spare = new Reserve;
  return *spare;
}

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
  if (begin_thread([state = state_] { run(state); })) return;
  Reserve& spare = reserve();
  {
    const std::lock_guard lock(spare.mutex);
    if (spare.is_there) {
      spare.waiting.push_back(state_);
      return spare.come.notify_one();
    }
  }
  run(state_);
}

void BackgroundQueue::keep_reserve() {
  Reserve& spare = reserve();
  const std::lock_guard lock(spare.mutex);
  if (spare.is_there) return;
  spare.is_there = begin_thread([&spare] {
    while (true) {
      std::shared_ptr<State> state;
      {
        std::unique_lock waiting(spare.mutex);
        spare.come.wait(waiting, [&spare] { return !spare.waiting.empty(); });
        state = std::move(spare.waiting.front());
        spare.waiting.pop_front();
      }
      run(state);
    }
  });
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
  end_of_thread();
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
