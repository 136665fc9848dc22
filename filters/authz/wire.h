#pragma once
// Protobuf's wire format (base/protobuf_wire.h) as calls of ext_authz need it: messages within
// messages, texts of any bytes, doubles.

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/base/protobuf_wire.h"
#include "proxy/base/utf8.h"

namespace pillion::filters::authz {

class WireWriter {
 public:
  explicit WireWriter(std::string& out) : out_(out) {}

  void varint(uint32_t field, uint64_t value) {
    wire::write_tag(out_, field, wire::Type::kVarint);
    wire::write_varint(out_, value);
  }
  void bytes(uint32_t field, std::string_view value) { wire::write_item(out_, field, value); }
  // A `string`: bytes that are no UTF-8 become '!', as Envoy writes them.
  void text(uint32_t field, std::string_view value) {
    wire::write_tag(out_, field, wire::Type::kBytes);
    wire::write_varint(out_, value.size());
    while (!value.empty()) {
      const size_t n = utf8_length(value);
      out_ += n == 0 ? std::string_view("!") : value.substr(0, n);
      value.remove_prefix(n == 0 ? 1 : n);
    }
  }
  void fixed64(uint32_t field, uint64_t value) {
    wire::write_tag(out_, field, wire::Type::kFixed64);
    for (int i = 0; i < 8; ++i) out_ += static_cast<char>(value >> (8 * i));
  }
  // What `fill` writes is the message of that field.
  template <typename Fill>
  void message(uint32_t field, Fill&& fill) {
    wire::write_tag(out_, field, wire::Type::kBytes);
    const size_t begin = out_.size();
    fill();
    std::string length;
    wire::write_varint(length, out_.size() - begin);
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
  std::string& out_;
};

// One field after the other.  A text that ends within a field, or has a field of no known wire
// type, is broken: next() is false and is_broken() tells.
class WireReader {
 public:
  explicit WireReader(std::string_view text) : reader_(text) {}

  bool next() { return reader_.next(field_); }
  [[nodiscard]] uint32_t field() const noexcept { return field_.number; }
  // Empty and 0 for a field of another type.
  [[nodiscard]] std::string_view bytes() const noexcept {
    return field_.is_bytes ? field_.bytes : std::string_view();
  }
  [[nodiscard]] uint64_t number() const noexcept {
    if (field_.is_bytes) return 0;
    uint64_t value = field_.value;
    for (size_t i = field_.bytes.size(); i-- > 0;)
      value = value << 8 | static_cast<uint8_t>(field_.bytes[i]);
    return value;
  }
  [[nodiscard]] bool is_broken() const noexcept { return !reader_.is_sound(); }

 private:
  wire::Reader reader_;
  wire::Field field_;
};

}  // namespace pillion::filters::authz
