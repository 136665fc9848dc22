#include "proxy/core/memory_trim.h"

#include <malloc.h>

#include "proxy/base/arena.h"
#include "proxy/base/buffer.h"
#include "proxy/http/h2_memory.h"

namespace pillion::core {

void MemoryTrim::trim() {
  ++trims_;
  peak_ = live_;
  give_back();
}

void MemoryTrim::give_back() {
  // A burst's first blocks are the ones that were kept, and lie all over the heap.
  Arena::trim_free_list();
  Slab::trim_free_list(0);
  http::H2Memory::trim_free_lists();
  static_cast<void>(::malloc_trim(0));
}

// Many at once: a little later for the rest of them.
void MemoryTrim::sweep() {
  if (http::H2Memory::sweep()) loop_.arm(sweep_timer_, std::chrono::milliseconds(10));
}

}  // namespace pillion::core
