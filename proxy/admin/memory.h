#pragma once
// How much memory the process uses: for /memory and the server.memory_* gauges.

#include <cstdint>

namespace pillion::admin {

struct MemoryUse {
  uint64_t allocated = 0;  // bytes in use on the heap
  uint64_t heap = 0;       // bytes that the heap took from the system
  uint64_t heap_free = 0;  // of these, free
  uint64_t physical = 0;   // resident
};

// Takes locks of the allocator and reads /proc: control thread only.
MemoryUse read_memory_use();

}  // namespace pillion::admin
