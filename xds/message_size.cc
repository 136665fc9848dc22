#include "xds/message_size.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>

#include "proxy/base/protobuf_wire.h"

namespace pillion::xds {
namespace {

namespace pb = google::protobuf;
using pb::FieldDescriptor;

constexpr size_t kMaxDepth = 100;  // protobuf parses no deeper

size_t packed_items(const FieldDescriptor& field, std::string_view bytes) {
  switch (field.type()) {
    case FieldDescriptor::TYPE_DOUBLE:
    case FieldDescriptor::TYPE_FIXED64:
    case FieldDescriptor::TYPE_SFIXED64:
      return bytes.size() / 8;
    case FieldDescriptor::TYPE_FLOAT:
    case FieldDescriptor::TYPE_FIXED32:
    case FieldDescriptor::TYPE_SFIXED32:
      return bytes.size() / 4;
    default:  // the last byte of each varint is below 0x80
      return static_cast<size_t>(std::ranges::count_if(
          bytes, [](char c) { return static_cast<unsigned char>(c) < 0x80; }));
  }
}

size_t parts_of(const FieldDescriptor* field, const wire::Field& value) {
  if (field == nullptr) return 1;
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) return kPartsOfMessage;
  if (!field->is_repeated()) return 0;
  return value.is_bytes && field->is_packable() ? packed_items(*field, value.bytes) : 1;
}

Fit take(std::string_view bytes, const pb::Descriptor& type, size_t depth, size_t& left) {
  wire::Reader in(bytes);
  for (wire::Field value; in.next(value);) {
    const FieldDescriptor* field = type.FindFieldByNumber(static_cast<int>(value.number));
    const size_t parts = parts_of(field, value);
    if (parts > left) return Fit::kTooMuch;
    left -= parts;
    if (field == nullptr || field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE ||
        !value.is_bytes || depth == kMaxDepth)
      continue;
    const Fit inside = take(value.bytes, *field->message_type(), depth + 1, left);
    if (inside != Fit::kFits) return inside;
  }
  return in.is_sound() ? Fit::kFits : Fit::kNoMessage;
}

}  // namespace

Fit take_parts(std::string_view bytes, const pb::Descriptor& type, size_t& left) {
  if (left < kPartsOfMessage) return Fit::kTooMuch;
  left -= kPartsOfMessage;
  return take(bytes, type, 0, left);
}

}  // namespace pillion::xds
