#pragma once
// A resource of a config dump as the text of a configuration: what a dump leaves out, or replaces,
// is put so that it can be read again.

#include <functional>
#include <string>
#include <string_view>

#include "proxy/base/json.h"

namespace pillion::cli {

// What ECDS has said for a filter of that name; missing: nothing.
using FindExtension = std::function<Json(std::string_view name)>;

// Certificates whose keys are redacted become secrets that are fetched, other redacted fields are
// gone, secrets of the file become those of a control plane, and a filter whose configuration is
// discovered has what was discovered.
std::string dump_text(const Json& resource, const FindExtension& find_extension);

}  // namespace pillion::cli
