#pragma once
// DrainCount: how many listeners drain, or filter chains, which is total_listeners_draining and
// total_filter_chains_draining as Envoy means them: removed or replaced, while any worker has
// connections of theirs, or has not come to the update yet.
//
// Any thread; what begin() returns may outlive it.

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace pillion {

class DrainCount {
 public:
  // One more drains, until the last copy of what this returns ends.
  [[nodiscard]] std::shared_ptr<const void> begin() {
    return std::make_shared<const Drain>(count_);
  }
  [[nodiscard]] int64_t value() const noexcept { return count_->load(std::memory_order_relaxed); }

 private:
  using Count = std::shared_ptr<std::atomic<int64_t>>;
  struct Drain {
    explicit Drain(Count c) : count(std::move(c)) {
      count->fetch_add(1, std::memory_order_relaxed);
    }
    ~Drain() { count->fetch_sub(1, std::memory_order_relaxed); }
    Drain(const Drain&) = delete;
    Drain& operator=(const Drain&) = delete;
    const Count count;
  };
  const Count count_ = std::make_shared<std::atomic<int64_t>>(0);
};

}  // namespace pillion
