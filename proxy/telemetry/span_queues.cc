#include "proxy/telemetry/span_queues.h"

#include <algorithm>
#include <utility>

namespace pillion::telemetry {
namespace {

// The queues of this thread, by the SpanQueues they belong to (in the product there is one).
struct ThreadQueues {
  ~ThreadQueues() {
    for (auto& [owner, queue] : list) queue->orphan();
  }
  std::vector<std::pair<uint64_t, std::shared_ptr<LogQueue>>> list;
};
thread_local ThreadQueues thread_queues;

uint64_t next_id() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

}  // namespace

SpanQueues::SpanQueues(std::function<void(Wake)> wake) : wake_(std::move(wake)), id_(next_id()) {}

LogQueue& SpanQueues::queue_of_this_thread() {
  auto& list = thread_queues.list;
  const auto known =
      std::ranges::find_if(list, [this](const auto& entry) { return entry.first == id_; });
  if (known != list.end()) return *known->second;
  auto queue = std::make_shared<LogQueue>(kQueueBytes);
  const std::lock_guard lock(mutex_);
  queues_.push_back(queue);
  return *list.emplace_back(id_, std::move(queue)).second;
}

void SpanQueues::push(uint32_t target, std::string_view span) {
  LogQueue& queue = queue_of_this_thread();
  if (!queue.push(target, span)) return;
  // push() publishes and drain() announces sequentially consistently: one of us sees the other.
  const uint8_t urgency = urgency_.load(std::memory_order_seq_cst);
  if (queue.passed(kUrgentBytes)) {
    if (urgency_.exchange(kUrgent) != kUrgent) wake_(Wake::kNow);
  } else if (urgency == kIdle) {
    uint8_t idle = kIdle;
    if (urgency_.compare_exchange_strong(idle, kWaiting)) wake_(Wake::kSoon);
  }
}

std::vector<std::shared_ptr<LogQueue>> SpanQueues::take_queues() const {
  const std::lock_guard lock(mutex_);
  return queues_;
}

void SpanQueues::forget_orphans() {
  const std::lock_guard lock(mutex_);
  std::erase_if(queues_, [this](const std::shared_ptr<LogQueue>& queue) {
    if (!queue->is_orphaned() || queue->has_records()) return false;
    dropped_before_ += queue->dropped();
    return true;
  });
}

uint64_t SpanQueues::dropped() const {
  const std::lock_guard lock(mutex_);
  uint64_t sum = dropped_before_;
  for (const auto& queue : queues_) sum += queue->dropped();
  return sum;
}

}  // namespace pillion::telemetry
