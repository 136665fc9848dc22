#pragma once
// TextMap: a hash map by text that is asked by views, without a copy of the key.

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace pillion {

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const noexcept {
    return std::hash<std::string_view>{}(text);
  }
};
template <typename T>
using TextMap = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

}  // namespace pillion
