#pragma once
// Undertaker: frees what may be large on a thread of its own, which stands back; then, if it was
// much, gives the memory back to the system.
//
// Owned by one thread, which alone calls it and never waits but in stop().  `on_buried` is called
// on a thread of the undertaker each time all is freed that it was given; not after stop().

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <utility>
#include <vector>

#include "proxy/base/background_queue.h"
#include "proxy/base/clock.h"

namespace pillion {

class Undertaker {
 public:
  using Dead = std::vector<std::shared_ptr<const void>>;
  // Freeing that took so long left some four MiB; less is not worth a trim, which takes longer.
  static constexpr Duration kWorthATrim = std::chrono::milliseconds(5);

  explicit Undertaker(std::function<void()> on_buried) : on_buried_(std::move(on_buried)) {}
  ~Undertaker();  // stop()
  Undertaker(const Undertaker&) = delete;
  Undertaker& operator=(const Undertaker&) = delete;

  void bury(Dead dead);
  // What is left is freed by the caller, who does not stand back; waits for the one piece that the
  // thread has in hand.
  void stop();
  // Trims so far; any thread.
  [[nodiscard]] size_t trims() const noexcept { return trims_.load(std::memory_order_relaxed); }

 private:
  void work(const std::stop_token& stop);
  std::shared_ptr<const void> next();

  const std::function<void()> on_buried_;
  std::mutex mutex_;
  Dead waiting_;
  Duration spent_{};  // of the thread, since the last trim
  std::atomic<size_t> trims_{0};
  BackgroundQueue digging_;
  BackgroundQueue trimming_;  // does not stand back (core/memory_trim.h)
};

}  // namespace pillion
