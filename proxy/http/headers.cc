#include "proxy/http/headers.h"

#include <array>
#include <cstring>

#include "proxy/base/str.h"

namespace pillion::http {
namespace {

constexpr auto kNames = std::to_array<std::string_view>({
    "",
#define HEADER_NAME(constant, name) name,
#include "proxy/http/header_names.inc"
#undef HEADER_NAME
});

constexpr uint64_t load8(const char* p, size_t n) {
  uint64_t word = 0;
  for (size_t i = 0; i < n; ++i) word |= uint64_t{static_cast<uint8_t>(p[i])} << (8 * i);
  return word;
}

// Mixes the length, the first and the last eight bytes: names of our table differ in these.
constexpr uint32_t mix(uint64_t first, uint64_t last, size_t length) {
  const uint64_t h = (first ^ (last * 0x9e3779b97f4a7c15ULL) ^ length) * 0xbf58476d1ce4e5b9ULL;
  return static_cast<uint32_t>(h >> 40);
}

constexpr uint32_t hash_name(std::string_view name) {
  const size_t n = name.size() < 8 ? name.size() : 8;
  return mix(load8(name.data(), n), load8(name.data() + name.size() - n, n), name.size());
}

constexpr size_t kSlots = 1024;

// Open addressing at 8 % load: a look-up compares one string, rarely two.
constexpr auto kTable = [] {
  std::array<uint8_t, kSlots> table{};
  for (size_t id = 1; id < kNames.size(); ++id) {
    size_t slot = hash_name(kNames[id]) % kSlots;
    while (table[slot] != 0) slot = (slot + 1) % kSlots;
    table[slot] = static_cast<uint8_t>(id);
  }
  return table;
}();

uint32_t hash_name_fast(std::string_view name) {
  if (name.size() < 8) return hash_name(name);
  uint64_t first;
  uint64_t last;
  std::memcpy(&first, name.data(), 8);
  std::memcpy(&last, name.data() + name.size() - 8, 8);
  if constexpr (std::endian::native == std::endian::big) return hash_name(name);
  return mix(first, last, name.size());
}

}  // namespace

HeaderId find_header_id(std::string_view name) noexcept {
  if (name.empty()) return HeaderId::kUnknown;
  size_t slot = hash_name_fast(name) % kSlots;
  while (const uint8_t id = kTable[slot]) {
    if (kNames[id] == name) return static_cast<HeaderId>(id);
    slot = (slot + 1) % kSlots;
  }
  return HeaderId::kUnknown;
}

std::string_view header_name(HeaderId id) noexcept {
  return id < HeaderId::kCount ? kNames[static_cast<size_t>(id)] : std::string_view{};
}

void Headers::grow() {
  const uint32_t larger = capacity_ == 0 ? 24 : capacity_ * 2;
  auto* fields = static_cast<Field*>(arena_->allocate(larger * sizeof(Field), alignof(Field)));
  if (size_ != 0) std::memcpy(static_cast<void*>(fields), fields_, size_ * sizeof(Field));
  fields_ = fields;
  capacity_ = larger;
}

void Headers::add_copy(std::string_view name, std::string_view value) {
  char* lower = static_cast<char*>(arena_->allocate(name.size() + 1, 1));
  for (size_t i = 0; i < name.size(); ++i) lower[i] = to_lower(name[i]);
  add(std::string_view(lower, name.size()), arena_->copy(value));
}

void Headers::set(HeaderId id, std::string_view value) {
  remove(id);
  add(id, value);
}

void Headers::set(std::string_view lower_name, std::string_view value) {
  remove(lower_name);
  add(lower_name, value);
}

int Headers::remove(HeaderId id) noexcept {
  int removed = 0;
  for (uint32_t i = 0; i < size_; ++i) {
    if (fields_[i].id != id) continue;
    fields_[i].id = HeaderId::kRemoved;
    ++removed;
  }
  return removed;
}

int Headers::remove(std::string_view lower_name) noexcept {
  const HeaderId id = find_header_id(lower_name);
  if (id != HeaderId::kUnknown) return remove(id);
  int removed = 0;
  for (uint32_t i = 0; i < size_; ++i) {
    if (fields_[i].id != HeaderId::kUnknown || fields_[i].name != lower_name) continue;
    fields_[i].id = HeaderId::kRemoved;
    ++removed;
  }
  return removed;
}

const Field* Headers::find(std::string_view lower_name) const noexcept {
  const HeaderId id = find_header_id(lower_name);
  if (id != HeaderId::kUnknown) return find(id);
  for (uint32_t i = 0; i < size_; ++i) {
    if (fields_[i].id == HeaderId::kUnknown && fields_[i].name == lower_name) return &fields_[i];
  }
  return nullptr;
}

uint32_t Headers::count() const noexcept {
  uint32_t n = 0;
  for_each([&n](const Field&) { ++n; });
  return n;
}

size_t Headers::byte_size() const noexcept {
  size_t n = 0;
  for_each([&n](const Field& f) { n += f.name.size() + f.value.size(); });
  return n;
}

void Headers::rebase(const char* from, const char* to) noexcept {
  for (uint32_t i = 0; i < size_; ++i) {
    Field& f = fields_[i];
    // Known names are literals; views are moved as offsets because the old bytes may be gone.
    if (f.id == HeaderId::kUnknown) f.name = {to + (f.name.data() - from), f.name.size()};
    f.value = {to + (f.value.data() - from), f.value.size()};
  }
}

}  // namespace pillion::http
