#include "proxy/io/descriptors.h"

#include <sys/resource.h>

#include <algorithm>

namespace pillion::io {

size_t raise_descriptor_limit() noexcept {
  constexpr rlim_t kMost = 1'048'576;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;  // the kernel's own default
  const rlim_t had = limit.rlim_cur;
  limit.rlim_cur = std::max(had, std::min(limit.rlim_max, kMost));
  if (limit.rlim_cur != had && ::setrlimit(RLIMIT_NOFILE, &limit) != 0) return had;
  return limit.rlim_cur;
}

}  // namespace pillion::io
