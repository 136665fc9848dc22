#include "proxy/base/arena.h"

#include <cstdlib>

#include "proxy/base/free_list.h"

namespace pillion {
namespace {

// 512 chunks (2 MiB) a thread: two hundred requests in flight without malloc.  An idle worker gives
// them back (core/memory_trim.h).
thread_local FreeList free_chunks{Arena::kChunkBytes, 512};

}  // namespace

void* Arena::allocate_slow(size_t bytes, size_t align) {
  const size_t need = sizeof(Chunk) + bytes + align;
  const bool large = need > kChunkBytes;
  const size_t size = large ? need : kChunkBytes;
  void* memory = large ? std::malloc(size) : free_chunks.take();
  if (memory == nullptr) std::abort();
  Chunk* chunk = new (memory) Chunk{chunks_, size};
  chunks_ = chunk;
  reserved_ += size;
  char* begin = static_cast<char*>(memory) + sizeof(Chunk);
  const uintptr_t at = (reinterpret_cast<uintptr_t>(begin) + align - 1) & ~(align - 1);
  // A large block leaves the current chunk open: small things still fit there.
  if (!large || cursor_ == nullptr) {
    cursor_ = reinterpret_cast<char*>(at + bytes);
    end_ = static_cast<char*>(memory) + size;
  }
  return reinterpret_cast<void*>(at);
}

void Arena::on_clear(void (*run)(void*), void* object) {
  void* memory = allocate(sizeof(Cleanup), alignof(Cleanup));
  cleanups_ = new (memory) Cleanup{cleanups_, run, object};
}

void Arena::clear() noexcept {
  while (cleanups_ != nullptr) {
    Cleanup* c = cleanups_;
    cleanups_ = c->next;
    c->run(c->object);
  }
  while (chunks_ != nullptr) {
    Chunk* chunk = chunks_;
    chunks_ = chunk->next;
    if (chunk->bytes == kChunkBytes) {
      free_chunks.give(chunk);
    } else {
      std::free(chunk);
    }
  }
  cursor_ = end_ = nullptr;
  reserved_ = 0;
}

void Arena::trim_free_list() noexcept { free_chunks.trim(0); }

}  // namespace pillion
