#pragma once
// Value: what an operator of an access-log format yields for one stream: nothing, text or a number.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pillion::telemetry {

// Two words, so that operators return it in registers.
class Value {
 public:
  enum class Kind : uint8_t { kNone, kText, kNumber, kJson };

  Value() noexcept : number_(0) {}
  Value(std::string_view t) noexcept  // NOLINT: implicit
      : text_(t.data()), size_(static_cast<uint32_t>(t.size())), kind_(Kind::kText) {}
  Value(const char* t) noexcept : Value(std::string_view(t)) {}  // NOLINT: implicit
  static Value number_of(int64_t n) noexcept {
    Value value;
    value.number_ = n;
    value.kind_ = Kind::kNumber;
    return value;
  }
  // A text that is a value of JSON: to JSON logs what it says, to others a text.
  static Value json_of(std::string_view t) noexcept {
    Value value(t);
    value.kind_ = Kind::kJson;
    return value;
  }
  // None for an empty text.
  static Value text_or_none(std::string_view t) noexcept { return t.empty() ? Value() : Value(t); }

  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  // Of kText and kJson: bytes of the stream, the configuration, or the Scratch.
  [[nodiscard]] std::string_view text() const noexcept { return {text_, size_}; }
  // Of kNumber.
  [[nodiscard]] int64_t number() const noexcept { return number_; }

 private:
  union {
    const char* text_;
    int64_t number_;
  };
  uint32_t size_ = 0;
  Kind kind_ = Kind::kNone;
};
static_assert(sizeof(Value) == 16);

// Where an operator puts text that it makes; lives until the value is written.
struct Scratch {
  static constexpr size_t kBytes = 1024;
  char bytes[kBytes];
};

}  // namespace pillion::telemetry
