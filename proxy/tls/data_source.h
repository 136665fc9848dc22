#pragma once
// envoy.config.core.v3.DataSource, read at once: a file, inline text or bytes, an environment
// variable.

#include <string>
#include <string_view>

#include "proxy/base/result.h"
#include "proxy/config/node.h"

namespace pillion::tls {

struct DataText {
  std::string text;
  std::string source;  // the file's name, "<inline>" or "$NAME"; empty if there was none
};

// What a file is to the configuration that names it.  kPart: its contents are a part of it, so that
// a change of the file is a change of the configuration.  kFollowed: somebody else follows it
// (certs/); the configuration only waits for it while it cannot be read.
enum class FileUse : uint8_t { kPart, kFollowed };

// Missing node: an empty DataText.  Errors (none of the fields, no such file, more than 8 MiB) go
// to the node's list, which also learns which file was read and what it held.
DataText read_data_source(const config::Node& node, FileUse use = FileUse::kPart);
// A file of use kFollowed could be read and is of no use: when it changes, look again.
void note_file(const config::Node& source);

// A regular file of at most 8 MiB, or why not.
Result<std::string> read_file(const std::string& name);

}  // namespace pillion::tls
