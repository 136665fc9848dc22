#include "proxy/core/shared_document.h"

#include <utility>

namespace pillion::core {

Status<> SharedDocument::publish(std::string_view text) {
  Result<Value> value = parse(text);
  if (!value) return Error{value.error()};
  set(std::move(*value));
  return Ok{};
}

void SharedDocument::fail() {
  if (version() == 0) set(nullptr);
}

SharedDocument::Value SharedDocument::value() const {
  const std::lock_guard lock(mutex_);
  return value_;
}

void SharedDocument::set(Value value) {
  {
    const std::lock_guard lock(mutex_);
    value_.swap(value);
  }
  // The former value dies here, on control, unless a worker still uses it.  Version 0 is nobody's.
  uint32_t next = version_.load(std::memory_order_relaxed) + 1;
  if (next == 0) next = 1;
  version_.store(next, std::memory_order_release);
}

}  // namespace pillion::core
