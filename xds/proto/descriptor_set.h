#pragma once
// The .proto files of this folder and those of google/protobuf that they use, as protoc compiled
// them: a google.protobuf.FileDescriptorSet.  The source is made by the build
// (deploy/cmake/embed.cmake).

#include <string_view>

namespace pillion::xds {

std::string_view descriptor_set();

}  // namespace pillion::xds
