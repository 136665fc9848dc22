#include "proxy/base/crash.h"

#include <fcntl.h>
#include <link.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "proxy/base/crash_symbols.h"
#include "proxy/base/sanitized.h"

namespace pillion::crash {
namespace {

constexpr size_t kStackBytes = 64 * 1024;
constexpr int kMaxFrames = 64;
constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

// A loaded file; addresses are those of its executable segments.
struct Module {
  uintptr_t begin;
  uintptr_t end;
  uintptr_t bias;
  char name[64];
};

// Set by install(), read by the handler.
struct Prepared {
  std::string_view banner;
  ElfSymbols symbols;
  Module modules[24];
  int module_count = 0;  // the first is the executable
};
Prepared prepared;
std::atomic<int> crashing_thread{0};

// --- The handler: async-signal-safe from here
// -----------------------------------------------------

// Lines are composed here and written by one write each.
class Line {
 public:
  Line& operator<<(std::string_view text) noexcept {
    const size_t n = std::min(text.size(), sizeof text_ - used_);
    std::memcpy(text_ + used_, text.data(), n);
    used_ += n;
    return *this;
  }
  Line& number(uint64_t value, unsigned base = 10) noexcept {
    char digits[24];
    size_t at = sizeof digits;
    do {
      digits[--at] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    return *this << std::string_view(digits + at, sizeof digits - at);
  }
  Line& hex(uint64_t value) noexcept { return (*this << "0x").number(value, 16); }
  ~Line() {
    text_[std::min(used_, sizeof text_ - 1)] = '\n';
    [[maybe_unused]] const ssize_t n =
        ::write(STDERR_FILENO, text_, std::min(used_ + 1, sizeof text_));
  }

 private:
  char text_[512];
  size_t used_ = 0;
};

std::string_view signal_name(int signal) noexcept {
  switch (signal) {
    case SIGSEGV:
      return "Segmentation fault";
    case SIGBUS:
      return "Bus error";
    case SIGFPE:
      return "Floating-point exception";
    case SIGILL:
      return "Illegal instruction";
    default:
      return "Aborted";
  }
}

void print_frame(int index, uintptr_t address) noexcept {
  Line line;
  line << "#";
  line.number(static_cast<uint64_t>(index)) << " ";
  line.hex(address) << " ";
  for (int i = 0; i < prepared.module_count; ++i) {
    const Module& module = prepared.modules[i];
    if (address < module.begin || address >= module.end) continue;
    if (i == 0) {
      char buffer[384];
      const Symbol symbol = prepared.symbols.find(address - module.bias);
      if (!symbol.name.empty()) {
        (line << readable_name(symbol.name, buffer) << " +").hex(symbol.offset);
        return;
      }
    }
    (line << std::string_view(module.name) << " +").hex(address - module.bias);
    return;
  }
  line << "?";
}

struct Walk {
  uintptr_t fault_address;  // where the signal struck; frames before it are the handler's
  int printed = 0;
  bool started = false;
};

_Unwind_Reason_Code on_frame(_Unwind_Context* context, void* argument) noexcept {
  Walk& walk = *static_cast<Walk*>(argument);
  int before_instruction = 0;
  uintptr_t address = _Unwind_GetIPInfo(context, &before_instruction);
  if (address == walk.fault_address) walk.started = true;
  if (!walk.started) return _URC_NO_REASON;
  // A return address belongs to the call before it.
  print_frame(walk.printed, before_instruction != 0 || address == 0 ? address : address - 1);
  return ++walk.printed < kMaxFrames ? _URC_NO_REASON : _URC_END_OF_STACK;
}

struct Registers {
  uintptr_t program_counter = 0;
  uintptr_t caller = 0;  // where the return address is (x86-64), or is itself (arm64)
  uintptr_t frame = 0;
};

Registers registers_of([[maybe_unused]] const void* context) noexcept {
  [[maybe_unused]] const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return {static_cast<uintptr_t>(machine.gregs[REG_RIP]),
          static_cast<uintptr_t>(machine.gregs[REG_RSP]),
          static_cast<uintptr_t>(machine.gregs[REG_RBP])};
#elif defined(__aarch64__)
  return {static_cast<uintptr_t>(machine.pc), static_cast<uintptr_t>(machine.regs[30]),
          static_cast<uintptr_t>(machine.regs[29])};
#else
  return {};
#endif
}

// Reads memory that may not be there.
bool peek(uintptr_t at, void* to, size_t bytes) noexcept {
  const iovec local{to, bytes};
  const iovec remote{reinterpret_cast<void*>(at), bytes};  // NOLINT: any address may be asked for
  return ::process_vm_readv(::getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(bytes);
}

// After a jump into nowhere, which has no unwind tables: the caller, then the chain of frame
// pointers (all of our code keeps them).
void walk_frame_pointers(const Registers& registers, int index) noexcept {
  uintptr_t frame[2] = {registers.frame, registers.caller};  // frame pointer, return address
#if defined(__x86_64__)
  if (!peek(registers.caller, &frame[1], sizeof frame[1])) return;
#endif
  while (index < kMaxFrames && frame[1] != 0) {
    print_frame(index++, frame[1] - 1);
    if (frame[0] == 0 || !peek(frame[0], frame, sizeof frame)) return;
  }
}

void end_process(int signal) noexcept {
  ::signal(signal, SIG_DFL);
  // Delivered when the handler returns, with the registers of the crash for the core dump.
  ::syscall(SYS_tgkill, ::getpid(), ::gettid(), signal);
}

void handle(int signal, siginfo_t* info, void* context) noexcept {
  int nobody = 0;
  if (!crashing_thread.compare_exchange_strong(nobody, ::gettid())) {
    if (nobody == ::gettid()) return end_process(signal);  // the handler itself crashed
    while (true) ::pause();                                // another thread is reporting
  }
  {
    Line line;
    line << "Caught " << signal_name(signal) << ", suspect faulting address ";
    line.hex(signal == SIGABRT ? 0 : reinterpret_cast<uintptr_t>(info->si_addr));
  }
  {
    Line line;
    line << "Backtrace of thread ";
    (line.number(static_cast<uint64_t>(::gettid())) << " (" << prepared.banner << "):");
  }
  const Registers registers = registers_of(context);
  Walk walk{.fault_address = registers.program_counter};
  // libgcc of GCC 12 finds the tables by _dl_find_object (glibc 2.35): no lock, no allocation.
  _Unwind_Backtrace(on_frame, &walk);
  if (walk.printed == 0) print_frame(walk.printed++, walk.fault_address);
  if (walk.printed == 1) walk_frame_pointers(registers, walk.printed);
  end_process(signal);
}

// --- Preparation
// ----------------------------------------------------------------------------------

int add_module(dl_phdr_info* info, size_t, void*) {
  if (prepared.module_count == static_cast<int>(std::size(prepared.modules))) return 1;
  Module& module = prepared.modules[prepared.module_count];
  module = {UINTPTR_MAX, 0, info->dlpi_addr, {}};
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
    module.begin = std::min<uintptr_t>(module.begin, info->dlpi_addr + segment.p_vaddr);
    module.end =
        std::max<uintptr_t>(module.end, info->dlpi_addr + segment.p_vaddr + segment.p_memsz);
  }
  const std::string_view path = info->dlpi_name;
  const std::string_view name = path.substr(path.rfind('/') + 1);
  name.copy(module.name, sizeof module.name - 1);
  ++prepared.module_count;
  return 0;
}

void map_executable() {
  const int fd = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  struct stat status{};
  if (::fstat(fd, &status) == 0 && status.st_size > 0) {
    const auto size = static_cast<size_t>(status.st_size);
    void* image = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (image != MAP_FAILED)
      prepared.symbols = ElfSymbols({static_cast<const std::byte*>(image), size});
  }
  ::close(fd);
}

}  // namespace

AlternateStack::AlternateStack() {
  void* memory = ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) return;
  memory_ = memory;
  stack_t stack{};
  stack.ss_sp = memory;
  stack.ss_size = kStackBytes;
  ::sigaltstack(&stack, nullptr);
}

AlternateStack::~AlternateStack() {
  if (memory_ == nullptr) return;
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  ::sigaltstack(&none, nullptr);
  ::munmap(memory_, kStackBytes);
}

void install(std::string_view banner) {
  // The sanitizers' own reports say more.
  if (PILLION_SANITIZED != 0 || prepared.module_count != 0) return;
  static auto* const main_stack = new AlternateStack;  // for the life of the process
  (void)main_stack;
  prepared.banner = banner;
  map_executable();
  ::dl_iterate_phdr(add_module, nullptr);
  struct sigaction action{};
  action.sa_sigaction = handle;
  // NODEFER: a crash of the handler must reach it again, to end the process.
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  ::sigemptyset(&action.sa_mask);
  for (const int signal : kSignals) ::sigaction(signal, &action, nullptr);
}

}  // namespace pillion::crash
