#pragma once
// Rare: an optional value that takes a pointer's room while it is not there, for what few of many
// objects have.  Copies with its owner.

#include <memory>
#include <optional>
#include <utility>

namespace pillion {

template <typename T>
class Rare {
 public:
  Rare() = default;
  Rare(T value) : value_(std::make_unique<T>(std::move(value))) {}  // NOLINT: as std::optional
  Rare(const Rare& other) : value_(other ? std::make_unique<T>(*other) : nullptr) {}
  Rare(Rare&&) noexcept = default;
  Rare& operator=(const Rare& other) {
    if (this != &other) value_ = other ? std::make_unique<T>(*other) : nullptr;
    return *this;
  }
  Rare& operator=(Rare&&) noexcept = default;
  ~Rare() = default;

  explicit operator bool() const noexcept { return value_ != nullptr; }
  [[nodiscard]] bool has_value() const noexcept { return value_ != nullptr; }
  T& operator*() noexcept { return *value_; }
  const T& operator*() const noexcept { return *value_; }
  T* operator->() noexcept { return value_.get(); }
  const T* operator->() const noexcept { return value_.get(); }
  void reset() noexcept { value_.reset(); }
  [[nodiscard]] std::optional<T> to_optional() const {
    return value_ == nullptr ? std::nullopt : std::optional<T>(*value_);
  }

 private:
  std::unique_ptr<T> value_;
};

}  // namespace pillion
