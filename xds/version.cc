#include "xds/version.h"

#include <google/protobuf/stubs/common.h>

namespace pillion::xds {

std::string protobuf_version() {
  return google::protobuf::internal::VersionString(GOOGLE_PROTOBUF_VERSION);
}

}  // namespace pillion::xds
