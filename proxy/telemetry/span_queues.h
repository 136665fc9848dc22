#pragma once
// SpanQueues: encoded spans on their way from the threads that end requests to control.
//
// Each thread that pushes gets a bounded queue of its own (LogQueue: one producer, lock-free; what
// finds it full is dropped and counted).  Control is woken once when the first span waits, and once
// more when many do; in between and while nothing waits nobody wakes.
//
//   worker   push() ... push()            wake(kSoon) from the first, wake(kNow) at kUrgentBytes
//   control  drain(fn)                    from then on the next push wakes again
//
// Outlives the threads that push, or they stop pushing before it goes.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "proxy/base/log_queue.h"

namespace pillion::telemetry {

class SpanQueues {
 public:
  static constexpr size_t kQueueBytes = 1024 * 1024;  // of each thread
  static constexpr size_t kUrgentBytes = 64 * 1024;

  enum class Wake : uint8_t { kSoon, kNow };
  // `wake` is called on the thread that pushes.
  explicit SpanQueues(std::function<void(Wake)> wake);
  SpanQueues(const SpanQueues&) = delete;
  SpanQueues& operator=(const SpanQueues&) = delete;

  // Any thread.  `target` comes back with the span.
  void push(uint32_t target, std::string_view span);
  // The consumer's thread: calls fn(target, span) for all that wait.
  template <typename Fn>
  void drain(Fn&& fn) {
    // Before the queues are looked at: who pushes later wakes again.
    urgency_.store(kIdle, std::memory_order_seq_cst);
    for (const std::shared_ptr<LogQueue>& queue : take_queues()) queue->drain(fn);
    forget_orphans();
  }
  // Spans that found their queue full, since the start.
  [[nodiscard]] uint64_t dropped() const;

 private:
  enum Urgency : uint8_t { kIdle, kWaiting, kUrgent };
  LogQueue& queue_of_this_thread();
  std::vector<std::shared_ptr<LogQueue>> take_queues() const;
  void forget_orphans();

  const std::function<void(Wake)> wake_;
  const uint64_t id_;
  std::atomic<uint8_t> urgency_{kIdle};
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<LogQueue>> queues_;
  uint64_t dropped_before_ = 0;  // of queues that are gone
};

}  // namespace pillion::telemetry
