#pragma once
// Bump allocation for things that die together: a stream's head, filter objects, route variables.
//
// An Arena takes chunks from its thread's free list and gives them back in one go, so that in
// steady state a request costs no call of malloc.  Destructors do not run, except for objects made
// with create<T>() of a type that needs one.  Not thread-safe; freed on the thread that filled it.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

namespace pillion {

class Arena {
 public:
  static constexpr size_t kChunkBytes = 4096;

  Arena() = default;
  ~Arena() { clear(); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Uninitialised memory that lives until clear().  Requests above a chunk go to malloc.
  void* allocate(size_t bytes, size_t align = alignof(std::max_align_t)) {
    uintptr_t at = (reinterpret_cast<uintptr_t>(cursor_) + align - 1) & ~(align - 1);
    if (at + bytes <= reinterpret_cast<uintptr_t>(end_) && cursor_ != nullptr) [[likely]] {
      cursor_ = reinterpret_cast<char*>(at + bytes);
      return reinterpret_cast<void*>(at);
    }
    return allocate_slow(bytes, align);
  }
  template <typename T>
  T* allocate_array(size_t n) {
    static_assert(std::is_trivially_destructible_v<T>);
    return static_cast<T*>(allocate(n * sizeof(T), alignof(T)));
  }
  // Constructs a T; its destructor runs at clear() if it has one.
  template <typename T, typename... Args>
  T* create(Args&&... args) {
    T* object = new (allocate(sizeof(T), alignof(T))) T(std::forward<Args>(args)...);
    if constexpr (!std::is_trivially_destructible_v<T>) {
      on_clear([](void* p) { static_cast<T*>(p)->~T(); }, object);
    }
    return object;
  }
  std::string_view copy(std::string_view text) {
    if (text.empty()) return {};
    char* to = static_cast<char*>(allocate(text.size(), 1));
    std::memcpy(to, text.data(), text.size());
    return {to, text.size()};
  }
  // Frees everything; destructors run in reverse order of construction.
  void clear() noexcept;
  [[nodiscard]] size_t bytes_reserved() const noexcept { return reserved_; }

  // Frees the chunks that this thread keeps for reuse (a worker does so after a burst, and at
  // exit).
  static void trim_free_list() noexcept;

 private:
  struct Chunk {
    Chunk* next;
    size_t bytes;  // of the whole chunk
  };
  struct Cleanup {
    Cleanup* next;
    void (*run)(void*);
    void* object;
  };
  void* allocate_slow(size_t bytes, size_t align);
  void on_clear(void (*run)(void*), void* object);

  char* cursor_ = nullptr;
  char* end_ = nullptr;
  Chunk* chunks_ = nullptr;
  Cleanup* cleanups_ = nullptr;
  size_t reserved_ = 0;
};

}  // namespace pillion
