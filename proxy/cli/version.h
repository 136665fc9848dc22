#pragma once
// `pillion version`.

#include <string>

namespace pillion::cli {

// Our version and build, then one line for each library.
std::string version_text();

}  // namespace pillion::cli
