#include "proxy/http/h2_trailers.h"

#include <cstring>

namespace pillion::http {
namespace {

// Stands before the name, if its id does not tell it, and the value.
struct Record {
  uint32_t name_size;
  uint32_t value_size;
  HeaderId id;
  bool never_index;
};

}  // namespace

uint32_t append_trailers(Buffer& to, const Headers& trailers) {
  const size_t before = to.size();
  trailers.for_each([&to](const Field& field) {
    const std::string_view name = field.id == HeaderId::kUnknown ? field.name : std::string_view{};
    Record record{};
    record.name_size = static_cast<uint32_t>(name.size());
    record.value_size = static_cast<uint32_t>(field.value.size());
    record.id = field.id;
    record.never_index = field.never_index;
    to.append({reinterpret_cast<const char*>(&record), sizeof record});
    to.append(name);
    to.append(field.value);
  });
  return static_cast<uint32_t>(to.size() - before);
}

std::string_view TrailerText::take(size_t size) noexcept {
  const std::string_view piece = text_.substr(0, size);
  text_.remove_prefix(piece.size());
  return piece;
}

bool TrailerText::next(Field& field) noexcept {
  if (text_.empty()) return false;
  Record record;
  std::memcpy(&record, take(sizeof record).data(), sizeof record);
  const std::string_view name = take(record.name_size);
  field.id = record.id;
  field.never_index = record.never_index;
  field.name = record.id == HeaderId::kUnknown ? name : header_name(record.id);
  field.value = take(record.value_size);
  return true;
}

}  // namespace pillion::http
