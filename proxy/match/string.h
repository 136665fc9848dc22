#pragma once
// StringMatcher: envoy.type.matcher.v3.StringMatcher, compiled.  Immutable; copies share the regex.

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/config/node.h"
#include "proxy/match/regex.h"

namespace pillion::match {

class StringMatcher {
 public:
  enum class Kind : uint8_t { kExact, kPrefix, kSuffix, kContains, kRegex };

  // Matches the empty text only.
  StringMatcher() = default;
  // ASCII case is ignored on demand.
  StringMatcher(Kind kind, std::string_view text, bool ignore_case = false);
  // The whole text; null matches nothing.
  explicit StringMatcher(RegexPtr regex);

  [[nodiscard]] bool matches(std::string_view text) const noexcept;
  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  // The one text that it matches; null if there may be others.
  [[nodiscard]] const std::string* only_text() const noexcept {
    return kind_ == Kind::kExact && !ignore_case_ ? &text_ : nullptr;
  }
  // For people: `prefix "/api"`.
  [[nodiscard]] std::string describe() const;

 private:
  std::string text_;  // lower case if case is ignored
  RegexPtr regex_;
  Kind kind_ = Kind::kExact;
  bool ignore_case_ = false;
};

// Reads exact, prefix, suffix, contains, safe_regex and ignore_case, and closes the mapping.
StringMatcher parse_string_matcher(const config::Node& node);

}  // namespace pillion::match
