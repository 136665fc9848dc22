#pragma once
// AtomicRef<T>: a reference that threads share, counted inside T.  Half of a std::shared_ptr, and
// without its block of 16 bytes beside the object: for what a process has a hundred thousand of
// (endpoints).  Copies cost an atomic operation, so that the data path makes none.
//
// For what stays on one thread: Ref (ref.h).

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace pillion {

class AtomicRefCounted {
 public:
  AtomicRefCounted() = default;
  AtomicRefCounted(const AtomicRefCounted&) = delete;
  AtomicRefCounted& operator=(const AtomicRefCounted&) = delete;

 protected:
  ~AtomicRefCounted() = default;

 private:
  template <typename T>
  friend class AtomicRef;
  mutable std::atomic<uint32_t> holders_{0};
};

template <typename T>
class AtomicRef {
 public:
  AtomicRef() = default;
  AtomicRef(std::nullptr_t) noexcept {}  // NOLINT: as std::shared_ptr
  explicit AtomicRef(T* object) noexcept : object_(object) { retain(); }
  AtomicRef(const AtomicRef& other) noexcept : object_(other.object_) { retain(); }
  AtomicRef(AtomicRef&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  // Of a T that may be changed one that may not.
  template <typename U>
    requires(std::is_same_v<const U, T> && !std::is_same_v<U, T>)
  AtomicRef(const AtomicRef<U>& other) noexcept : object_(other.get()) {  // NOLINT
    retain();
  }
  AtomicRef& operator=(AtomicRef other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~AtomicRef() {
    if (object_ == nullptr) return;
    if (object_->holders_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete object_;
  }

  [[nodiscard]] T* get() const noexcept { return object_; }
  T* operator->() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  friend bool operator==(const AtomicRef& a, const AtomicRef& b) noexcept {
    return a.object_ == b.object_;
  }
  friend bool operator==(const AtomicRef& a, std::nullptr_t) noexcept {
    return a.object_ == nullptr;
  }

 private:
  void retain() noexcept {
    if (object_ != nullptr) object_->holders_.fetch_add(1, std::memory_order_relaxed);
  }
  T* object_ = nullptr;
};

template <typename T, typename... Args>
AtomicRef<T> make_atomic_ref(Args&&... args) {
  return AtomicRef<T>(new T(std::forward<Args>(args)...));
}

}  // namespace pillion
