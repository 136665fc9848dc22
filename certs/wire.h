#pragma once
// Protobuf's wire format, field by field, for the few small messages of certs/: a key in such a
// message is copied once, into the secret that it becomes, and into no tree of fields or JSON.
//
//   WireReader in(bytes);
//   for (WireField f; in.next(f);) if (f.number == 1) use(f.bytes);
//   if (!in.is_sound()) ...                                        the bytes are no message
//
// Views point into the bytes.  Groups are refused, fields of fixed size come with their bytes.

#include <cstdint>
#include <string>
#include <string_view>

namespace pillion::certs {

struct WireField {
  uint32_t number = 0;
  bool is_bytes = false;   // length-delimited: a text, bytes or a message
  uint64_t value = 0;      // of a varint
  std::string_view bytes;  // of the others
};

class WireReader {
 public:
  explicit WireReader(std::string_view bytes) noexcept : left_(bytes) {}

  // False at the end, and where the bytes are no message.
  bool next(WireField& field) noexcept;
  [[nodiscard]] bool is_sound() const noexcept { return is_sound_; }

 private:
  bool varint(uint64_t& out) noexcept;
  bool take(uint64_t size, std::string_view& out) noexcept;

  std::string_view left_;
  bool is_sound_ = true;
};

// Append a field; nothing for an empty text and a zero, as proto3 has it.
void write_bytes(std::string& out, uint32_t number, std::string_view bytes);
void write_number(std::string& out, uint32_t number, uint64_t value);
// Also if it is empty: an item of a list, or a message.
void write_item(std::string& out, uint32_t number, std::string_view bytes);

}  // namespace pillion::certs
