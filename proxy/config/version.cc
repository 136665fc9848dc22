#include "proxy/config/version.h"

namespace pillion::config {

// Its headers do not say; the package did when we were configured (deploy/cmake/versions.cmake).
std::string_view yaml_cpp_version() noexcept { return PILLION_LIBRARY_VERSION; }

}  // namespace pillion::config
