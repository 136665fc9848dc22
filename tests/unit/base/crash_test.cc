#include "proxy/base/crash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "proxy/base/assert.h"
#include "proxy/base/crash_symbols.h"
#include "proxy/base/sanitized.h"

namespace pillion::crash {

// With external linkage and out of line, so that their names are known.
volatile int* null_pointer = nullptr;
void (*volatile null_function)() = nullptr;
volatile int depth = 0;

__attribute__((noinline)) void write_to_null() {
  *null_pointer = 1;
  depth = depth + 1;
}
__attribute__((noinline)) void call_write_to_null() {
  write_to_null();
  depth = depth + 1;
}
__attribute__((noinline)) void fail_an_assertion() {
  ASSERT(null_pointer != nullptr);
  depth = depth + 1;
}
__attribute__((noinline)) void call_null_function() {
  null_function();
  depth = depth + 1;
}
__attribute__((noinline)) int overflow_the_stack(int n) {
  volatile char space[1024];
  space[0] = static_cast<char>(n);
  depth = depth + 1;
  if (depth < 0) return 0;  // never: the stack ends before
  return overflow_the_stack(n + 1) + space[0];
}

namespace {

struct Outcome {
  std::string output;
  int signal = 0;
};

// Runs `crash` in a child with the handler installed.
template <typename Fn>
Outcome run_in_child(Fn crash) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    install("pillion test");
    crash();
    ::_exit(0);
  }
  ::close(ends[1]);
  Outcome outcome;
  char buffer[4096];
  for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    outcome.output.append(buffer, static_cast<size_t>(n));
  ::close(ends[0]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  outcome.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return outcome;
}

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

#if !PILLION_SANITIZED

TEST(Crash, NamesTheFunctionsAndDiesOfTheSignal) {
  const Outcome outcome = run_in_child(call_write_to_null);
  EXPECT_EQ(outcome.signal, SIGSEGV);
  EXPECT_THAT(outcome.output,
              AllOf(HasSubstr("Caught Segmentation fault, suspect faulting address 0x0\n"),
                    HasSubstr("(pillion test):\n"),
                    ContainsRegex("#0 0x[0-9a-f]+ pillion::crash::write_to_null \\+0x"),
                    ContainsRegex("#1 0x[0-9a-f]+ pillion::crash::call_write_to_null \\+0x")));
}

TEST(Crash, ShowsWhichFunctionFailedAnAssertion) {
  const Outcome outcome = run_in_child(fail_an_assertion);
  EXPECT_EQ(outcome.signal, SIGABRT);
  EXPECT_THAT(outcome.output, AllOf(HasSubstr("assertion failed: null_pointer != nullptr"),
                                    HasSubstr("Caught Aborted"),
                                    HasSubstr("pillion::crash::fail_an_assertion +0x")));
}

TEST(Crash, FindsTheCallerOfANullFunction) {
  const Outcome outcome = run_in_child(call_null_function);
  EXPECT_EQ(outcome.signal, SIGSEGV);
  EXPECT_THAT(outcome.output, HasSubstr("pillion::crash::call_null_function +0x"));
}

TEST(Crash, ReportsAnOverflowedStack) {
  const Outcome outcome = run_in_child([] { overflow_the_stack(0); });
  EXPECT_EQ(outcome.signal, SIGSEGV);
  EXPECT_THAT(outcome.output, HasSubstr("pillion::crash::overflow_the_stack +0x"));
}

TEST(Crash, ReportsFromAnotherThreadOnItsOwnAlternateStack) {
  const Outcome outcome = run_in_child([] {
    pthread_t thread;
    ::pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
          const AlternateStack stack;
          overflow_the_stack(0);
          return nullptr;
        },
        nullptr);
    ::pthread_join(thread, nullptr);
  });
  EXPECT_EQ(outcome.signal, SIGSEGV);
  EXPECT_THAT(outcome.output, HasSubstr("pillion::crash::overflow_the_stack +0x"));
}

#endif

TEST(CrashSymbols, MakesNamesReadable) {
  char buffer[64];
  EXPECT_EQ(readable_name("_ZN7pillion4core6Stream4failENS_7FailureE", buffer),
            "pillion::core::Stream::fail");
  EXPECT_EQ(readable_name("_ZNK7pillion4core6Stream4nameEv", buffer),
            "pillion::core::Stream::name");
  EXPECT_EQ(readable_name("_ZN7pillion12_GLOBAL__N_13runEv", buffer), "pillion::(anonymous)::run");
  EXPECT_EQ(readable_name("_ZN7pillion5ArenaC2Ev", buffer), "pillion::Arena::Arena");
  EXPECT_EQ(readable_name("_ZN7pillion5ArenaD1Ev", buffer), "pillion::Arena::~Arena");
  EXPECT_EQ(readable_name("_Z3runi", buffer), "run");
  EXPECT_EQ(readable_name("main", buffer), "main");
}

TEST(CrashSymbols, LeavesNamesItDoesNotUnderstand) {
  char buffer[16];
  for (std::string_view name :
       {"_ZNSt6vectorIiE4sizeEv", "_Z", "_ZN", "_ZN99x", "_ZN7pillion",
        "_ZN7pillion4core6Stream4failENS_7FailureE" /* longer than the buffer */}) {
    EXPECT_EQ(readable_name(name, buffer), name);
  }
}

TEST(CrashSymbols, AreNoneInADamagedImage) {
  EXPECT_EQ(ElfSymbols().find(1).name, "");
  std::string image(64, '\xff');
  image.replace(0, 4,
                "\x7f"
                "ELF");
  image[4] = 2;    // 64 bits
  image[58] = 64;  // size of a section header
  image[59] = 0;
  EXPECT_EQ(ElfSymbols(std::as_bytes(std::span(image))).find(1).name, "");
}

}  // namespace
}  // namespace pillion::crash
