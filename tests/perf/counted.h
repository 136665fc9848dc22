#pragma once
// Counts heap allocations of this thread while a Counting exists: those of the program and its C++
// library apart from those of BoringSSL, which asks through hooks of its own.  Defined in
// counted_allocations_test.cc by replacing malloc and its kin, so that nothing gets past it.

#include <cstddef>

namespace pillion::testing {

struct Allocations {
  size_t ours = 0;
  size_t of_tls_library = 0;
};

// Nothing is counted where a sanitizer owns malloc: then say so and skip.
bool can_count_allocations() noexcept;

class Counting {
 public:
  explicit Counting(Allocations& into) noexcept;
  ~Counting();
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;
};

}  // namespace pillion::testing
