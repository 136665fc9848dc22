#pragma once
// envoy.config.core.v3.DataSource, read at once: a file, inline text or bytes, an environment
// variable.

#include <string>

#include "proxy/config/node.h"

namespace pillion::tls {

struct DataText {
  std::string text;
  std::string source;  // the file's name, "<inline>" or "$NAME"; empty if there was none
};

// Missing node: an empty DataText.  Errors (none of the fields, no such file, more than 8 MiB) go
// to the node's list, which also learns which file was read and what it held.
DataText read_data_source(const config::Node& node);

}  // namespace pillion::tls
