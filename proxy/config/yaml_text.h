#pragma once
// The two halves of load_text(), for loader.cc: checks on raw text, and YAML events to a Document.

#include <string>
#include <string_view>

#include "proxy/base/result.h"
#include "proxy/config/loader.h"

namespace pillion::config {

struct TextError {
  Mark mark;
  std::string text;
};

// Is it text at all: within the size limits, valid UTF-8, no control characters, not blank?
Status<TextError> check_text(std::string_view text, const LoadLimits& limits);

// The text must have passed check_text().
DocumentPtr parse_yaml(std::string_view text, const std::string& source, Errors& errors,
                       const LoadLimits& limits);

}  // namespace pillion::config
