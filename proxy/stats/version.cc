#include "proxy/stats/version.h"

namespace pillion::stats {

// Its headers do not say; the package did when we were configured (deploy/cmake/versions.cmake).
std::string_view prometheus_cpp_version() noexcept { return PILLION_LIBRARY_VERSION; }

}  // namespace pillion::stats
