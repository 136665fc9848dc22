#pragma once
// How many descriptors this process may have.

#include <cstddef>

namespace pillion::io {

// Raises the soft limit to the hard one, to 1,048,576 at most (what a sidecar can use; "unlimited"
// makes some libraries loop over all numbers).  Returns the limit that then holds.
size_t raise_descriptor_limit() noexcept;

}  // namespace pillion::io
