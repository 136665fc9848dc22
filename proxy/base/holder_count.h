#pragma once
// The count of who holds an object that a table under a lock knows, too (shared_text.h,
// shared_value.h): it reaches 0 under that lock alone, so that whoever finds the object in the
// table can have it.

#include <atomic>

namespace pillion {

// Without the lock.  False: the caller is the last, and still holds it; the table decides.
template <typename N>
bool leave_unless_last(std::atomic<N>& holders) noexcept {
  N count = holders.load(std::memory_order_relaxed);
  while (count > 1) {
    if (holders.compare_exchange_weak(count, count - 1, std::memory_order_release,
                                      std::memory_order_relaxed))
      return true;
  }
  return false;
}

}  // namespace pillion
