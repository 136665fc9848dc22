#pragma once
// Text -> Document.  YAML 1.2 and, as its subset, JSON; UTF-8.
//
// What is wrong with the text goes to `errors`, with its place.  The limits bound time and memory
// for any input: a file of hostile depth, aliases or size ends in an error, never in a crash.  Not
// supported, and said so: merge keys (<<), custom tags, mappings or lists as keys, several
// documents.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/config/document.h"
#include "proxy/config/errors.h"

namespace pillion::config {

struct LoadLimits {
  size_t max_bytes = size_t{64} << 20;
  size_t max_line_bytes = size_t{1} << 20;  // yaml-cpp looks ahead to the end of a line
  size_t max_values = 2'000'000;
  size_t max_depth = 200;
  size_t max_alias_values = 100'000;  // what all aliases together may add
};

using DocumentPtr = std::shared_ptr<const Document>;

// nullptr if the text is no configuration at all.  Lesser errors (a duplicate key) leave a
// document, so that the rest can be checked in the same run: ask errors.ok() at the end.
DocumentPtr load_file(const std::string& path, Errors& errors, const LoadLimits& limits = {});
// `source` is the text's name in messages, such as "--config-yaml".
DocumentPtr load_text(std::string_view text, const std::string& source, Errors& errors,
                      const LoadLimits& limits = {});

// `over` laid upon `base` as protobuf merges messages: mappings merge key by key, lists append,
// scalars replace, null leaves what is there.  Each value keeps the place where it was written.
DocumentPtr merge(const DocumentPtr& base, const DocumentPtr& over);

}  // namespace pillion::config
