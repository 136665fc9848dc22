#pragma once
// Templates of paths (envoy.extensions.path.match.uri_template.v3): "/users/*/orders/**".

#include <string>
#include <string_view>

#include "proxy/base/result.h"

namespace pillion::filters::rbac {

// A regular expression for the whole path without its query.  "*" and "{name}" are one part that is
// not empty, "**" and "{name=**}" all that is left, maybe nothing; behind that only text may come.
// Any byte counts as a part of a part (CVE-2025-46821: a list of characters was one to slip past).
Result<std::string> regex_of_template(std::string_view text);

}  // namespace pillion::filters::rbac
