#include "proxy/base/background_thread.h"

#include <sys/resource.h>

namespace pillion {
namespace {

constexpr int kNice = 10;

}  // namespace

// Where it is refused (a sandbox), the work is only less polite.
void stand_back() noexcept { static_cast<void>(::setpriority(PRIO_PROCESS, 0, kNice)); }

}  // namespace pillion
