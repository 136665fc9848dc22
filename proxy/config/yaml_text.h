#pragma once
// The two halves of load_text(), for loader.cc and yaml_stream.cc: checks on raw text, and YAML
// events to a Document.

#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/config/loader.h"

namespace pillion::config {

struct TextError {
  Mark mark;
  std::string text;
};

// Is it text at all: within the size limits, valid UTF-8, no control characters, not blank?
Status<TextError> check_text(std::string_view text, const LoadLimits& limits);

// The text must have passed check_text() for these two.
//
// The documents of a stream, null ones too; more than `most` is an error.  A list of one nullptr if
// the text is no YAML.
std::vector<DocumentPtr> parse_documents(std::string_view text, const std::string& source,
                                         Errors& errors, const LoadLimits& limits, size_t most);
// The one document of a configuration.
DocumentPtr parse_yaml(std::string_view text, const std::string& source, Errors& errors,
                       const LoadLimits& limits);

}  // namespace pillion::config
