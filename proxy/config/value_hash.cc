#include "proxy/config/value_hash.h"

#include <functional>
#include <string_view>

namespace pillion::config {

uint64_t combine_hashes(uint64_t a, uint64_t b) noexcept {
  uint64_t h = a ^ (b + 0x9e3779b97f4a7c15ULL + (a << 6) + (a >> 2));
  h ^= h >> 31;
  h *= 0xbf58476d1ce4e5b9ULL;
  return h ^ (h >> 29);
}

namespace {

uint64_t hash_of(const Value& value, const Errors* read) {
  uint64_t h = combine_hashes(static_cast<uint64_t>(value.kind), value.size);
  if (read != nullptr && read->has_contents()) {
    // Others stay as they are, whatever was read beside them.
    if (const uint64_t contents = read->contents_of(value)) h = combine_hashes(h, contents);
  }
  switch (value.kind) {
    case Kind::kNull:
      break;
    case Kind::kScalar:
      h = combine_hashes(h, std::hash<std::string_view>{}(value.scalar()));
      break;
    case Kind::kSequence:
      for (const Value* v = value.first_child; v != nullptr; v = v->next)
        h = combine_hashes(h, hash_of(*v, read));
      break;
    case Kind::kMapping: {
      uint64_t sum = 0;  // the order of keys says nothing
      for (const Value* v = value.first_child; v != nullptr; v = v->next) {
        sum += combine_hashes(std::hash<std::string_view>{}(v->key->text), hash_of(*v, read));
      }
      h = combine_hashes(h, sum);
      break;
    }
  }
  return h;
}

}  // namespace

uint64_t hash_value(const Node& node) {
  return node.is_missing() ? 0 : hash_of(*node.value(), node.errors());
}

}  // namespace pillion::config
