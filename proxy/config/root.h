#pragma once
// root_of: the whole document that a node stands in, for what names something elsewhere in it.

#include "proxy/config/node.h"

namespace pillion::config {

// What is wrong there goes to `errors`.  Missing if the node is.
inline Node root_of(const Node& node, Errors& errors) {
  const Value* value = node.value();
  while (value != nullptr && value->parent != nullptr) value = value->parent;
  return Node(value, &errors);
}

}  // namespace pillion::config
