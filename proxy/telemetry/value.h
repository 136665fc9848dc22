#pragma once
// Value: what an operator of an access-log format yields for one stream: nothing, text or a number.

#include <cstdint>
#include <string_view>

namespace pillion::telemetry {

struct Value {
  enum class Kind : uint8_t { kNone, kText, kNumber };

  Value() = default;
  Value(std::string_view t) : text(t), kind(Kind::kText) {}  // NOLINT: implicit
  Value(const char* t) : Value(std::string_view(t)) {}       // NOLINT: implicit
  static Value number_of(int64_t n) {
    Value value;
    value.number = n;
    value.kind = Kind::kNumber;
    return value;
  }
  // None for an empty text.
  static Value text_or_none(std::string_view t) { return t.empty() ? Value() : Value(t); }

  std::string_view text;  // of the stream, the configuration, or the Scratch
  int64_t number = 0;
  Kind kind = Kind::kNone;
};

// Where an operator puts text that it makes; lives until the value is written.
struct Scratch {
  static constexpr size_t kBytes = 1024;
  char bytes[kBytes];
};

}  // namespace pillion::telemetry
