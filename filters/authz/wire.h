#pragma once
// Protobuf's wire format, as far as calls of ext_authz need it: written into a string, read from a
// view with bounds.  (Messages of xDS go by reflection; a call a request is too often for that.)

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/base/utf8.h"

namespace pillion::filters::authz {

class WireWriter {
 public:
  explicit WireWriter(std::string& out) : out_(out) {}

  void varint(uint32_t field, uint64_t value) {
    tag(field, 0);
    put(value);
  }
  void bytes(uint32_t field, std::string_view value) {
    tag(field, 2);
    put(value.size());
    out_ += value;
  }
  // A `string`: bytes that are no UTF-8 become '!', as Envoy writes them.
  void text(uint32_t field, std::string_view value) {
    tag(field, 2);
    put(value.size());
    while (!value.empty()) {
      const size_t n = utf8_length(value);
      out_ += n == 0 ? std::string_view("!") : value.substr(0, n);
      value.remove_prefix(n == 0 ? 1 : n);
    }
  }
  void fixed64(uint32_t field, uint64_t value) {
    tag(field, 1);
    for (int i = 0; i < 8; ++i) out_ += static_cast<char>(value >> (8 * i));
  }
  // What `fill` writes is the message of that field.
  template <typename Fill>
  void message(uint32_t field, Fill&& fill) {
    tag(field, 2);
    const size_t begin = out_.size();
    fill();
    std::string length;
    WireWriter(length).put(out_.size() - begin);
    out_.insert(begin, length);
  }
  // An entry of a map<string, string>.
  void entry(uint32_t field, std::string_view key, std::string_view value) {
    message(field, [&] {
      text(1, key);
      text(2, value);
    });
  }

 private:
  void tag(uint32_t field, uint32_t type) { put(field << 3 | type); }
  void put(uint64_t value) {
    while (value >= 0x80) {
      out_ += static_cast<char>(value | 0x80);
      value >>= 7;
    }
    out_ += static_cast<char>(value);
  }
  std::string& out_;
};

// One field after the other.  A text that ends within a field, or has a field of no known wire
// type, is broken: next() is false and is_broken() tells.
class WireReader {
 public:
  explicit WireReader(std::string_view text) : text_(text) {}

  bool next() {
    if (text_.empty() || broken_) return false;
    const uint64_t key = take_varint();
    field_ = static_cast<uint32_t>(key >> 3);
    number_ = 0;
    bytes_ = {};
    switch (key & 7) {
      case 0:
        number_ = take_varint();
        break;
      case 1:
        take_fixed(8);
        break;
      case 2:
        bytes_ = take(take_varint());
        break;
      case 5:
        take_fixed(4);
        break;
      default:
        broken_ = true;
    }
    if (field_ == 0 || key >> 3 > UINT32_MAX) broken_ = true;
    return !broken_;
  }
  [[nodiscard]] uint32_t field() const noexcept { return field_; }
  [[nodiscard]] std::string_view bytes() const noexcept { return bytes_; }
  [[nodiscard]] uint64_t number() const noexcept { return number_; }
  [[nodiscard]] bool is_broken() const noexcept { return broken_; }

 private:
  uint64_t take_varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (text_.empty()) break;
      const auto byte = static_cast<uint8_t>(text_.front());
      text_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    broken_ = true;
    return 0;
  }
  std::string_view take(uint64_t size) {
    if (size > text_.size()) {
      broken_ = true;
      return {};
    }
    const std::string_view part = text_.substr(0, static_cast<size_t>(size));
    text_.remove_prefix(static_cast<size_t>(size));
    return part;
  }
  void take_fixed(size_t size) {
    const std::string_view part = take(size);
    for (size_t i = part.size(); i-- > 0;) number_ = number_ << 8 | static_cast<uint8_t>(part[i]);
  }

  std::string_view text_;
  std::string_view bytes_;
  uint64_t number_ = 0;
  uint32_t field_ = 0;
  bool broken_ = false;
};

}  // namespace pillion::filters::authz
