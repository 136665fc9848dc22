#include "filters/http/body_text.h"

#include <algorithm>

#include "proxy/base/free_list.h"

namespace pillion::filters {
namespace {

// Most messages are short.
constexpr size_t kInArena = 1024;

// Those of calls that run at the same time; more go back to the system with their call.
thread_local FreeList free_blocks{BodyText::kBlockBytes, 16};

struct Block {
  char* const bytes = static_cast<char*>(free_blocks.take());
  Block() = default;
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() { free_blocks.give(bytes); }
};

}  // namespace

void BodyText::grow(Arena& arena, size_t size) {
  if (size <= kInArena) {
    capacity_ = std::min(std::max(size, 2 * capacity_), kInArena);
    bytes_ = arena.allocate_array<char>(capacity_);
  } else if (size <= kBlockBytes) {
    capacity_ = kBlockBytes;
    bytes_ = arena.create<Block>()->bytes;
  } else {
    capacity_ = size;  // a response's trailers, which come once
    bytes_ = arena.allocate_array<char>(capacity_);
  }
}

}  // namespace pillion::filters
