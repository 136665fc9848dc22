#pragma once
// The version of the library that this folder wraps, for `pillion version`.

#include <string>

namespace pillion::xds {

std::string protobuf_version();

}  // namespace pillion::xds
