#pragma once
// LazyRef<T>: a T that is made by whoever uses it first, on any thread: where it is one of ten
// thousand that nobody uses it is an empty pointer.  Holders may share one, and it ends with the
// last of them.
//
//   LazyRef<Counts> counts;      // nothing yet
//   counts->requests.inc();      // made; of threads that come at once all get the same one
//   newer.counts = counts;       // the same from now on; made, if it was not
//
// `kAlignment`: of the T, where it shall have a cache line of its own.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace pillion {

template <typename T, size_t kAlignment = alignof(T)>
class LazyRef {
 public:
  LazyRef() = default;
  LazyRef(const LazyRef& other) : made_(&other.made()) {
    made().holders.fetch_add(1, std::memory_order_relaxed);
  }
  // While nobody else sees this one.
  LazyRef& operator=(const LazyRef& other) {
    const LazyRef copy(other);
    made_.store(
        copy.made_.exchange(made_.load(std::memory_order_acquire), std::memory_order_acq_rel),
        std::memory_order_release);
    return *this;
  }
  ~LazyRef() {
    Counted* const counted = made_.load(std::memory_order_acquire);
    if (counted != nullptr && counted->holders.fetch_sub(1, std::memory_order_acq_rel) == 1)
      delete counted;
  }

  T& operator*() const { return made().value; }
  T* operator->() const { return &made().value; }
  // Null: nobody has used it yet.
  [[nodiscard]] const T* used() const noexcept {
    const Counted* const counted = made_.load(std::memory_order_acquire);
    return counted == nullptr ? nullptr : &counted->value;
  }
  // The same one?
  friend bool operator==(const LazyRef& a, const LazyRef& b) noexcept {
    return &a == &b || (a.used() != nullptr && a.used() == b.used());
  }

 private:
  struct alignas(std::max(kAlignment, alignof(std::atomic<uint32_t>))) Counted {
    T value;
    std::atomic<uint32_t> holders{1};
  };
  [[nodiscard]] Counted& made() const {
    Counted* known = made_.load(std::memory_order_acquire);
    return known != nullptr ? *known : make();
  }
  [[nodiscard]] Counted& make() const {
    auto mine = std::make_unique<Counted>();
    Counted* known = nullptr;
    // Another thread may be first.
    if (!made_.compare_exchange_strong(known, mine.get(), std::memory_order_acq_rel,
                                       std::memory_order_acquire))
      return *known;
    return *mine.release();
  }
  mutable std::atomic<Counted*> made_{nullptr};
};

}  // namespace pillion
