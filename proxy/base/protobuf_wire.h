#pragma once
// Protobuf's wire format, field by field, for messages that go by hand: those with keys, which are
// copied once, into the secret that they become, and into no tree of fields or JSON; and those that
// a request waits for.  (Messages of xDS go by reflection.)
//
//   wire::Reader in(bytes);
//   for (wire::Field f; in.next(f);) if (f.number == 1) use(f.bytes);
//   if (!in.is_sound()) ...                                        the bytes are no message
//
// Views point into the bytes.  Groups are refused, fields of fixed size come with their bytes.

#include <cstdint>
#include <string>
#include <string_view>

namespace pillion::wire {

enum class Type : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  uint32_t number = 0;
  bool is_bytes = false;   // length-delimited: a text, bytes or a message
  uint64_t value = 0;      // of a varint
  std::string_view bytes;  // of the others
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) noexcept : left_(bytes) {}

  // False at the end, and where the bytes are no message.
  bool next(Field& field) noexcept;
  [[nodiscard]] bool is_sound() const noexcept { return is_sound_; }

 private:
  bool varint(uint64_t& out, unsigned most_bytes) noexcept;
  bool take(uint64_t size, std::string_view& out) noexcept;

  std::string_view left_;
  bool is_sound_ = true;
};

inline void write_varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}
inline void write_tag(std::string& out, uint32_t number, Type type) {
  write_varint(out, uint64_t{number} << 3 | static_cast<uint32_t>(type));
}

// Append a field; nothing for an empty text and a zero, as proto3 has it.
void write_bytes(std::string& out, uint32_t number, std::string_view bytes);
void write_number(std::string& out, uint32_t number, uint64_t value);
// Also if it is empty: an item of a list, or a message.
void write_item(std::string& out, uint32_t number, std::string_view bytes);

}  // namespace pillion::wire
