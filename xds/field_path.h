#pragma once
// Paths of google.protobuf.FieldMask, by the messages of proto/.

#include <string_view>

namespace pillion::xds {

// Does `path` ("a.b.c") name a field of the message `type`?  As protobuf has it, a path may not
// lead through a list, a map or an Any; below a message that is not known every name is taken for
// one.  Any thread.
bool has_field(std::string_view type, std::string_view path);

}  // namespace pillion::xds
