#pragma once
// SharedPart: a part of a configuration that is mostly the same in thousands of them: one pointer
// here, and one object for all that are equal.
//
//   SharedPart<PoolOptions> pool;       // the default; takes no memory
//   pool->connect_timeout = 2s;         // a copy of its own, while its owner is made
//   pool.share();                       // from now on the same object as that of all equal ones
//
// As a value: a copy is equal and independent.  T has operator== and `size_t value_hash(const T&)`;
// threads: as SharedValue.

#include <memory>
#include <utility>

#include "proxy/base/shared_value.h"

namespace pillion {

template <typename T>
class SharedPart {
 public:
  SharedPart() = default;
  SharedPart(const SharedPart& other)
      : shared_(other.shared_), own_(other.own_ ? std::make_unique<T>(*other.own_) : nullptr) {}
  SharedPart(SharedPart&&) noexcept = default;
  SharedPart& operator=(SharedPart other) noexcept {
    std::swap(shared_, other.shared_);
    std::swap(own_, other.own_);
    return *this;
  }
  ~SharedPart() = default;

  const T& operator*() const noexcept {
    if (shared_) [[likely]]
      return *shared_;
    return own_ ? *own_ : defaults();
  }
  const T* operator->() const noexcept { return &**this; }
  // To be changed.
  T& operator*() {
    if (own_ == nullptr) {
      own_ = std::make_unique<T>(std::as_const(*this).operator*());
      shared_ = nullptr;
    }
    return *own_;
  }
  T* operator->() { return &**this; }
  void share() {
    if (own_ == nullptr) return;
    shared_ = SharedValue<T>(std::move(*own_));
    own_.reset();
  }

 private:
  static const T& defaults() noexcept {
    static const T all{};
    return all;
  }
  SharedValue<T> shared_;
  std::unique_ptr<T> own_;  // null once it is shared, or as long as it is the default
};

}  // namespace pillion
