#pragma once
// A Document as YAML text in block style, such that reading it gives the same tree.

#include <cstdint>
#include <string>

#include "proxy/config/document.h"

namespace pillion::config {

// How scalars are printed.  kAsNeeded: quoted where the plain text would be something else, never
// over several lines (for `pillion expand`).  kAsWritten: what was plain or quoted in the text that
// was read stays so, whatever it looks like (other readers know YAML 1.1: 012, 1_0, yes), and text
// of several lines is a literal block where it can be one.
enum class ScalarStyle : uint8_t { kAsNeeded, kAsWritten };

std::string print_yaml(const Document& document, ScalarStyle style = ScalarStyle::kAsNeeded);

}  // namespace pillion::config
