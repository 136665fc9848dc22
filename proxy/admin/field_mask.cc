#include "proxy/admin/field_mask.h"

#include <algorithm>

#include "proxy/admin/config_json.h"

namespace pillion::admin {

std::pair<std::string_view, std::string_view> split_path(std::string_view path) {
  const size_t dot = path.find('.');
  if (dot == std::string_view::npos) return {path, {}};
  return {path.substr(0, dot), path.substr(dot + 1)};
}

FieldMask::FieldMask(std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    const std::string_view path = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!path.empty()) paths_.emplace_back(path);
  }
  for (const std::string& path : paths_) {
    Node* at = &root_;
    for (std::string_view rest = path; !rest.empty() && !at->is_all_;) {
      const auto [field, below] = split_path(rest);
      rest = below;
      auto it = at->fields_.begin();
      while (it != at->fields_.end() && it->first != field) ++it;
      if (it == at->fields_.end())
        it = at->fields_.insert(it, std::pair(std::string(field), Node()));
      at = &it->second;
    }
    at->is_all_ = true;
    at->fields_.clear();
  }
}

bool FieldMask::Node::shows(std::string_view field, const Node*& below) const {
  below = nullptr;
  if (is_all_) return true;
  const auto it = std::ranges::find_if(
      fields_, [field](const auto& item) { return is_field(field, item.first); });
  if (it == fields_.end()) return false;
  if (!it->second.is_all_) below = &it->second;
  return true;
}

}  // namespace pillion::admin
