#include "proxy/admin/memory.h"

#include <malloc.h>
#include <unistd.h>

#include <cstdio>

namespace pillion::admin {

MemoryUse read_memory_use() {
  const struct mallinfo2 info = mallinfo2();
  MemoryUse use{info.uordblks + info.hblkhd, info.arena + info.hblkhd, info.fordblks, 0};
  if (FILE* statm = std::fopen("/proc/self/statm", "re"); statm != nullptr) {
    unsigned long total = 0;
    unsigned long resident = 0;
    if (std::fscanf(statm, "%lu %lu", &total, &resident) == 2) {
      use.physical = resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    }
    std::fclose(statm);
  }
  return use;
}

}  // namespace pillion::admin
