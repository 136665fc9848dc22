#include "proxy/match/version.h"

namespace pillion::match {

// Its headers do not say; the package did when we were configured (deploy/cmake/versions.cmake).
std::string_view re2_version() noexcept { return PILLION_LIBRARY_VERSION; }

}  // namespace pillion::match
