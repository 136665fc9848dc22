#pragma once
// Result<T, E>: a value or the reason why there is none.  Member names follow std::expected, which
// our baseline standard library lacks; replace it by that class when GCC 12 is no longer supported.
//
//   Result<int> parse(std::string_view text);
//   if (auto port = parse(text)) use(*port); else report(port.error());
//
// Reading value() of an error, or error() of a value, is a programming error and aborts.

#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "proxy/base/assert.h"

namespace pillion {

// Wraps an error so that it cannot be mistaken for a value: `return Error{"no such file"};`
template <typename E>
struct Error {
  E value;
};
template <typename E>
Error(E) -> Error<E>;
Error(const char*) -> Error<std::string>;

template <typename T, typename E = std::string>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  using error_type = E;

  template <typename U = T>
    requires(std::is_constructible_v<T, U> && !std::is_same_v<std::remove_cvref_t<U>, Result>)
  Result(U&& value) : state_(std::in_place_index<0>, std::forward<U>(value)) {}  // NOLINT: implicit
  template <typename G>
  Result(Error<G> error) : state_(std::in_place_index<1>, std::move(error.value)) {}  // NOLINT

  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  T& value() & { return check(), *std::get_if<0>(&state_); }
  const T& value() const& { return check(), *std::get_if<0>(&state_); }
  T&& value() && { return check(), std::move(*std::get_if<0>(&state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  template <typename U>
  T value_or(U&& fallback) const {
    return has_value() ? value() : static_cast<T>(std::forward<U>(fallback));
  }

  const E& error() const {
    ASSERT(!has_value());
    return *std::get_if<1>(&state_);
  }

 private:
  void check() const { ASSERT(has_value()); }
  std::variant<T, E> state_;
};

// Success carries nothing: `Status<> s = file.close(); if (!s) log(s.error());`
struct Ok {};
template <typename E = std::string>
using Status = Result<Ok, E>;

}  // namespace pillion
