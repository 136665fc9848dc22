#include "proxy/base/protobuf_wire.h"

namespace pillion::wire {
namespace {

constexpr uint64_t kMaxNumber = (uint64_t{1} << 29) - 1;
// As protobuf has it: a tag or a length that is written with more bytes is no tag or length.
constexpr unsigned kMostOfTag = 5;
constexpr unsigned kMostOfLength = 5;
constexpr unsigned kMostOfValue = 10;

}  // namespace

bool Reader::varint(uint64_t& out, unsigned most_bytes) noexcept {
  out = 0;
  for (unsigned shift = 0; shift < 7 * most_bytes && !left_.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(left_.front());
    left_.remove_prefix(1);
    out |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool Reader::take(uint64_t size, std::string_view& out) noexcept {
  if (size > left_.size()) return false;
  out = left_.substr(0, static_cast<size_t>(size));
  left_.remove_prefix(static_cast<size_t>(size));
  return true;
}

bool Reader::next(Field& field) noexcept {
  if (left_.empty() || !is_sound_) return false;
  field = {};
  uint64_t tag = 0;
  uint64_t size = 0;
  is_sound_ = varint(tag, kMostOfTag) && tag >> 3 != 0 && tag >> 3 <= kMaxNumber;
  if (!is_sound_) return false;
  field.number = static_cast<uint32_t>(tag >> 3);
  switch (static_cast<Type>(tag & 7)) {
    case Type::kVarint:
      return is_sound_ = varint(field.value, kMostOfValue);
    case Type::kFixed64:
      return is_sound_ = take(8, field.bytes);
    case Type::kFixed32:
      return is_sound_ = take(4, field.bytes);
    case Type::kBytes:
      field.is_bytes = true;
      return is_sound_ = varint(size, kMostOfLength) && take(size, field.bytes);
    default:
      return is_sound_ = false;
  }
}

void write_item(std::string& out, uint32_t number, std::string_view bytes) {
  write_tag(out, number, Type::kBytes);
  write_varint(out, bytes.size());
  out += bytes;
}

void write_bytes(std::string& out, uint32_t number, std::string_view bytes) {
  if (!bytes.empty()) write_item(out, number, bytes);
}

void write_number(std::string& out, uint32_t number, uint64_t value) {
  if (value == 0) return;
  write_tag(out, number, Type::kVarint);
  write_varint(out, value);
}

}  // namespace pillion::wire
