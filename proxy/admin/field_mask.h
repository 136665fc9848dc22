#pragma once
// FieldMask: which fields of a message are shown (google.protobuf.FieldMask), as a tree.
//
// "a.b,c" shows the field b of a and all of c.  A path that lies within another one adds nothing.
// What a path names is not checked here.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pillion::admin {

class FieldMask {
 public:
  // Of one message; null stands for a mask that shows everything.
  class Node {
   public:
    // The field is shown; `below` is the mask of its message.
    [[nodiscard]] bool shows(std::string_view field, const Node*& below) const;

   private:
    friend class FieldMask;
    bool is_all_ = false;
    std::vector<std::pair<std::string, Node>> fields_;
  };

  // Without the paths that nothing is in: "" and "a,,b".
  explicit FieldMask(std::string_view text);
  [[nodiscard]] const std::vector<std::string>& paths() const noexcept { return paths_; }
  // Lives as long as the mask.  With no paths it shows nothing.
  [[nodiscard]] const Node& root() const noexcept { return root_; }

 private:
  std::vector<std::string> paths_;
  Node root_;
};

// By a mask, or without one (null).
inline bool shows(const FieldMask::Node* mask, std::string_view field,
                  const FieldMask::Node*& below) {
  below = nullptr;
  return mask == nullptr || mask->shows(field, below);
}
inline bool shows(const FieldMask::Node* mask, std::string_view field) {
  const FieldMask::Node* below = nullptr;
  return shows(mask, field, below);
}

// "a.b.c" -> "a" and "b.c".
std::pair<std::string_view, std::string_view> split_path(std::string_view path);

}  // namespace pillion::admin
