#pragma once
// Configuration from a text, for tests of parsers.

#include <gtest/gtest.h>

#include "proxy/config/loader.h"
#include "proxy/config/node.h"

namespace pillion::telemetry {

// The text as a document; `messages()` is what parsers found wrong.
class Text {
 public:
  explicit Text(std::string_view yaml) : document_(config::load_text(yaml, "t", errors_)) {
    EXPECT_NE(document_, nullptr) << errors_.to_string();
  }
  [[nodiscard]] config::Node root() { return document_->root(errors_); }
  [[nodiscard]] std::string messages() const { return errors_.to_string(); }
  // Mappings that a parser read and did not close.
  [[nodiscard]] size_t unfinished() const { return errors_.unfinished().size(); }

 private:
  config::Errors errors_;
  std::shared_ptr<const config::Document> document_;
};

}  // namespace pillion::telemetry
