#pragma once
// Close now, free later (design section 7.2): an object that may be on the stack while it is
// closed is handed to Loop::delete_later and destroyed in the bury phase of the turn.

#include <utility>

#include "proxy/base/assert.h"

namespace pillion::io {

class Deferred {
 public:
  Deferred() = default;
  virtual ~Deferred() { DASSERT(next_ == nullptr); }
  Deferred(const Deferred&) = delete;
  Deferred& operator=(const Deferred&) = delete;

 private:
  friend class DeadQueue;
  Deferred* next_ = nullptr;  // while it waits: the one after it, of the last the first
};

// Objects that wait for their destruction, first in, first out; owned.  One pointer an object, for
// every connection and socket is one.
class DeadQueue {
 public:
  [[nodiscard]] bool empty() const noexcept { return last_ == nullptr; }
  void push_back(Deferred& object) noexcept {
    DASSERT(object.next_ == nullptr);
    object.next_ = last_ == nullptr ? &object : std::exchange(last_->next_, &object);
    last_ = &object;
  }
  Deferred* pop_front() noexcept {
    if (last_ == nullptr) return nullptr;
    Deferred* first = last_->next_;
    if (first == last_) {
      last_ = nullptr;
    } else {
      last_->next_ = first->next_;
    }
    first->next_ = nullptr;
    return first;
  }

 private:
  Deferred* last_ = nullptr;
};

}  // namespace pillion::io
