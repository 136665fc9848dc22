#pragma once
// A number as decimal text that lives as long as an arena's contents.

#include <charconv>
#include <cstdint>
#include <string_view>

#include "proxy/base/arena.h"

namespace pillion {

inline std::string_view number_text(Arena& arena, uint64_t number) {
  constexpr size_t kMost = 20;  // digits of 2^64 - 1
  char* const text = arena.allocate_array<char>(kMost);
  return {text, static_cast<size_t>(std::to_chars(text, text + kMost, number).ptr - text)};
}

}  // namespace pillion
