#pragma once
// Checks on our own logic, never on what a peer sent.
//
//   ASSERT(condition)   all builds; for cheap checks whose failure would corrupt memory
//   DASSERT(condition)  debug and sanitizer builds only; for hot loops
//   UNREACHABLE()       a switch that cannot fall through

namespace pillion {

// Prints `expression` with its place to stderr and aborts (the crash handler adds the stack).
[[noreturn]] void assert_failed(const char* expression, const char* file, int line) noexcept;

}  // namespace pillion

#define ASSERT(condition)                            \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::pillion::assert_failed(#condition, __FILE__, __LINE__))
#if defined(NDEBUG) && !defined(__clang_analyzer__)  // which takes it as given
#define DASSERT(condition) static_cast<void>(sizeof(static_cast<bool>(condition)))
#else
#define DASSERT(condition) ASSERT(condition)
#endif
#define UNREACHABLE() ::pillion::assert_failed("unreachable", __FILE__, __LINE__)
