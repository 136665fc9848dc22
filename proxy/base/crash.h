#pragma once
// What happens when the process crashes: the handler of SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT
// prints the signal and a stack with function names to stderr, then lets the signal end the process
// (core dumps and exit status stay what they were).
//
//   crash::install("pillion 0.1.0");            // main thread, before other threads
//   const crash::AlternateStack stack;          // first line of every other thread
//
// Everything the handler needs is found at install() and touched only at the crash: the mapped
// executable for its symbol table, the modules' addresses, the alternate stacks.  The handler
// allocates nothing and takes no lock; should it crash itself, the process ends there.

#include <cstddef>
#include <string_view>

namespace pillion::crash {

// Where this thread runs its handler, so that an overflowed stack can be reported, too.
class AlternateStack {
 public:
  AlternateStack();
  ~AlternateStack();
  AlternateStack(const AlternateStack&) = delete;
  AlternateStack& operator=(const AlternateStack&) = delete;

 private:
  void* memory_ = nullptr;
};

// `banner` names the program and version and must live as long as the process.
void install(std::string_view banner);

}  // namespace pillion::crash
