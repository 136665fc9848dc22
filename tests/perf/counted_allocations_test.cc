// The replaced allocator of counted.h, and the test that it sees what it should: a counter that
// counts nothing would let every other test of this folder pass.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "proxy/base/sanitized.h"
#include "tests/perf/counted.h"
#include "tests/support/test_ca.h"

namespace pillion::testing {
namespace {

// Plain thread-locals: no guard, no allocation on first use.
constinit thread_local Allocations* counted = nullptr;
constinit thread_local bool in_tls_library = false;

[[maybe_unused]] constinit thread_local bool in_new = false;

[[maybe_unused]] void count() noexcept {
  if (counted == nullptr) return;
  if (in_tls_library) {
    ++counted->of_tls_library;
    return;
  }
  ++counted->ours;
  if (!in_new) ++counted->direct;
}

// The compiler must not take an allocation for useless.
void use(const void* memory) { asm volatile("" : : "r"(memory) : "memory"); }

}  // namespace

Counting::Counting(Allocations& into) noexcept { counted = &into; }
Counting::~Counting() { counted = nullptr; }

}  // namespace pillion::testing

#if PILLION_SANITIZED

bool pillion::testing::can_count_allocations() noexcept { return false; }

#else

bool pillion::testing::can_count_allocations() noexcept { return true; }

extern "C" {

void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* memory, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void* memory);

void* malloc(size_t bytes) {
  pillion::testing::count();
  return __libc_malloc(bytes);
}
void* calloc(size_t number, size_t bytes) {
  pillion::testing::count();
  return __libc_calloc(number, bytes);
}
void* realloc(void* memory, size_t bytes) {
  pillion::testing::count();
  return __libc_realloc(memory, bytes);
}
// What `new` of an over-aligned type calls.
void* aligned_alloc(size_t alignment, size_t bytes) {
  pillion::testing::count();
  return __libc_memalign(alignment, bytes);
}
void free(void* memory) { __libc_free(memory); }

// BoringSSL's hooks (openssl/mem.h): weak there, so these replace malloc for it.  A block begins
// with its size.
constexpr size_t kHead = alignof(std::max_align_t);

void* OPENSSL_memory_alloc(size_t bytes) {
  pillion::testing::in_tls_library = true;
  auto* block = static_cast<char*>(malloc(bytes + kHead));
  pillion::testing::in_tls_library = false;
  if (block == nullptr) return nullptr;
  *reinterpret_cast<size_t*>(block) = bytes;
  return block + kHead;
}
void OPENSSL_memory_free(void* memory) {
  if (memory != nullptr) free(static_cast<char*>(memory) - kHead);
}
size_t OPENSSL_memory_get_size(void* memory) {
  return memory == nullptr ? 0 : *reinterpret_cast<size_t*>(static_cast<char*>(memory) - kHead);
}

}  // extern "C"

// Not inlined: GCC would take free() for a mismatch with new.
[[gnu::noinline]] void* operator new(size_t bytes) {
  pillion::testing::in_new = true;
  void* memory = malloc(bytes == 0 ? 1 : bytes);
  pillion::testing::in_new = false;
  if (memory == nullptr) std::abort();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { free(memory); }

#endif

namespace pillion::testing {
namespace {

TEST(CountedAllocations, SeeNewAndMallocAndTheTlsLibrary) {
  if (!can_count_allocations()) GTEST_SKIP() << "a sanitizer owns malloc";
  Allocations allocations;
  {
    const Counting counting(allocations);
    const std::unique_ptr<std::string> text = std::make_unique<std::string>(1000, 'x');
    use(text->data());
    void* memory = std::malloc(text->size());
    use(memory);
    std::free(memory);
    struct alignas(64) Line {
      char bytes[64];
    };
    const auto line = std::make_unique<Line>();
    use(line.get());
  }
  EXPECT_EQ(allocations.ours, 4u);
  EXPECT_EQ(allocations.direct, 2u);  // malloc, and aligned_alloc of the over-aligned one
  EXPECT_EQ(allocations.of_tls_library, 0u);
  const TestCa ca;
  {
    const Counting counting(allocations);
    static_cast<void>(ca.certificate("spiffe://mesh.local/ns/a/sa/b"));
  }
  EXPECT_GT(allocations.of_tls_library, 10u);
  const Allocations before = allocations;
  static_cast<void>(ca.certificate("spiffe://mesh.local/ns/a/sa/c"));
  EXPECT_EQ(allocations.ours, before.ours) << "counted without a Counting";
}

}  // namespace
}  // namespace pillion::testing
