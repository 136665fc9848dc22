#pragma once
// A stream of YAML documents, such as Kubernetes manifests: each with the text that it was read
// from, so that what is not changed can be passed on as it was.

#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/loader.h"

namespace pillion::config {

struct StreamDocument {
  std::string_view text;  // all of it, with its "---" and comments; borrowed from the stream
  std::string_view head;  // the beginning of `text`, up to the line where the value begins
  DocumentPtr document;   // nullptr: comments or nothing
};

// The texts together are the stream.  What is wrong goes to `errors`; a document that is no mapping
// is wrong.  The limits of loader.h hold, that on values for each document.
std::vector<StreamDocument> load_stream(std::string_view text, const std::string& source,
                                        Errors& errors, const LoadLimits& limits = {});

}  // namespace pillion::config
