#pragma once
// A hash of a piece of configuration: equal text trees give equal hashes, wherever they stand.  For
// telling what a reload changed; collisions of 64 bits are accepted.

#include <cstdint>

#include "proxy/config/node.h"

namespace pillion::config {

// Kinds, keys, texts and order of lists count; order of a mapping's keys, quotes and places do not.
// Of a node also the contents of the files and the values of the runtime's keys that it names, once
// they have been read: hash it after its parser is done.  A missing node is 0.
uint64_t hash_value(const Node& node);
// Of both, in this order.
uint64_t combine_hashes(uint64_t a, uint64_t b) noexcept;

}  // namespace pillion::config
