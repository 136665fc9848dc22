#pragma once
// A piece of configuration as JSON, for encode(): nothing is redacted, so it is not for people.

#include <string>

#include "proxy/config/document.h"

namespace pillion::xds {

// Appends `value`.  Scalars that YAML wrote without quotes and that are numbers or booleans stay
// so.
void append_json(std::string& out, const config::Value& value);

}  // namespace pillion::xds
