#pragma once
// A Document as YAML text in block style, such that reading it gives the same tree.

#include <string>

#include "proxy/config/document.h"

namespace pillion::config {

std::string print_yaml(const Document& document);

}  // namespace pillion::config
