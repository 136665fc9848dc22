#include "proxy/base/startup_pages.h"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace pillion {
namespace {

// The program comes first; libraries are shared with other processes and stay.
int forget_code(dl_phdr_info* info, size_t, void*) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = info->dlpi_phdr[i];
    // What is written to (relocated data too) is ours alone, and would be lost.
    const bool is_code = part.p_type == PT_LOAD && (part.p_flags & (PF_X | PF_W)) == PF_X;
    if (!is_code) continue;
    const uintptr_t begin = (info->dlpi_addr + part.p_vaddr) & ~(page - 1);
    const uintptr_t end = info->dlpi_addr + part.p_vaddr + part.p_memsz;
    ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
  return 1;
}

}  // namespace

void forget_startup_pages() noexcept { ::dl_iterate_phdr(&forget_code, nullptr); }

}  // namespace pillion
