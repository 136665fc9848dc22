#pragma once
// Headers: the fields of one message, in order, in the message's Arena.
//
// A field is {id, name, value}; known names (header_names.inc) are compared as integers.  Names are
// lower case, as parsers deliver them and filters must write them.  Names and values are views:
// the text belongs to the arena, or is a string that outlives the message (a literal, route
// config). Removal marks the field (id kRemoved) and iteration skips it, so views and order stay
// stable.

#include <cstdint>
#include <string_view>

#include "proxy/base/arena.h"

namespace pillion::http {

enum class HeaderId : uint8_t {
  kUnknown = 0,
#define HEADER_NAME(constant, name) constant,
#include "proxy/http/header_names.inc"
#undef HEADER_NAME
  kCount,
  kRemoved = 255,
};

// kUnknown for a name not in the table.  `name` must be lower case.
HeaderId find_header_id(std::string_view name) noexcept;
std::string_view header_name(HeaderId id) noexcept;

struct Field {
  std::string_view name;
  std::string_view value;
  HeaderId id = HeaderId::kUnknown;
  // It came as a literal that HPACK must never index, and goes on as one (RFC 7541, 6.2.3).
  bool never_index = false;
};
static_assert(sizeof(Field) == 40);

class Headers {
 public:
  explicit Headers(Arena& arena) noexcept : arena_(&arena) {}
  Headers(const Headers&) = delete;
  Headers& operator=(const Headers&) = delete;

  // Adds at the end; the views must live as long as the message.
  void add(HeaderId id, std::string_view value) { add(Field{header_name(id), value, id}); }
  void add(std::string_view lower_name, std::string_view value) {
    add(Field{lower_name, value, find_header_id(lower_name)});
  }
  void add(const Field& field) {
    if (size_ == capacity_) [[unlikely]]
      grow();
    fields_[size_++] = field;
  }
  // As add, after copying name (lower-cased) and value into the arena.
  void add_copy(std::string_view name, std::string_view value);
  // Replaces all fields of that name by one.
  void set(HeaderId id, std::string_view value);
  void set(std::string_view lower_name, std::string_view value);
  // Removes all fields of that name; returns how many.
  int remove(HeaderId id) noexcept;
  int remove(std::string_view lower_name) noexcept;
  void clear() noexcept { size_ = 0; }

  // The first field of that name, or null.
  [[nodiscard]] const Field* find(HeaderId id) const noexcept {
    for (uint32_t i = 0; i < size_; ++i) {
      if (fields_[i].id == id) return &fields_[i];
    }
    return nullptr;
  }
  [[nodiscard]] const Field* find(std::string_view lower_name) const noexcept;
  // Value of the first such field, or an empty view.
  [[nodiscard]] std::string_view get(HeaderId id) const noexcept {
    const Field* f = find(id);
    return f == nullptr ? std::string_view{} : f->value;
  }
  [[nodiscard]] bool has(HeaderId id) const noexcept { return find(id) != nullptr; }

  // Calls fn(const Field&) for each field present, in order.
  template <typename Fn>
  void for_each(Fn&& fn) const {
    for (uint32_t i = 0; i < size_; ++i) {
      if (fields_[i].id != HeaderId::kRemoved) fn(fields_[i]);
    }
  }
  // Calls fn(Field&) for each field of that name; for repeated fields.
  template <typename Fn>
  void for_each_of(std::string_view lower_name, Fn&& fn) const {
    for (uint32_t i = 0; i < size_; ++i) {
      const Field& f = fields_[i];
      if (f.id != HeaderId::kRemoved && f.name == lower_name) fn(f);
    }
  }
  // Fields present, counting repeats.
  [[nodiscard]] uint32_t count() const noexcept;
  // Sum of name and value lengths of the fields present.
  [[nodiscard]] size_t byte_size() const noexcept;
  [[nodiscard]] Arena& arena() const noexcept { return *arena_; }

  // For parsers: after the bytes that fields point into were copied from `from` to `to`.
  void rebase(const char* from, const char* to) noexcept;
  // Raw access, removed fields included.
  [[nodiscard]] const Field* begin() const noexcept { return fields_; }
  [[nodiscard]] const Field* end() const noexcept { return fields_ + size_; }
  Field* mutable_begin() noexcept { return fields_; }

 private:
  void grow();
  Arena* arena_;
  Field* fields_ = nullptr;
  uint32_t size_ = 0;
  uint32_t capacity_ = 0;
};

}  // namespace pillion::http
