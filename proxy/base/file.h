#pragma once
// Files that are read whole.

#include <cstddef>
#include <string>

#include "proxy/base/result.h"

namespace pillion {

// A regular file of at most that many bytes, or why not (without its name).  In one piece: no copy
// of it stays behind in memory, for it may be a key.  Any thread that may block.
Result<std::string> read_regular_file(const std::string& name, size_t max_bytes);

}  // namespace pillion
