#pragma once
// Bytes of the heap in use, with what malloc adds to each block.

#include <malloc.h>

#include <cstddef>

#include "proxy/base/free_list.h"

#ifdef PILLION_ASAN
extern "C" size_t __sanitizer_get_current_allocated_bytes();
#endif

namespace pillion::testing {

inline size_t heap_bytes() {
#ifdef PILLION_ASAN
  return __sanitizer_get_current_allocated_bytes();
#else
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
#endif
}

}  // namespace pillion::testing
