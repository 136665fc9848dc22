#include "proxy/core/memory_trim.h"

#include <malloc.h>

#include "proxy/base/arena.h"
#include "proxy/base/buffer.h"

namespace pillion::core {

void MemoryTrim::trim() {
  ++trims_;
  peak_ = live_;
  // A burst's first blocks are the ones that were kept, and lie all over the heap.
  Arena::trim_free_list();
  Slab::trim_free_list(0);
  static_cast<void>(::malloc_trim(0));
}

}  // namespace pillion::core
