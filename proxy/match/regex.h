#pragma once
// Regex: a compiled regular expression (RE2: linear time, bounded memory).
//
// It sees bytes, not UTF-8: "." is any byte (CVE-2026-73552: an invalid sequence must not slip past
// a pattern).  Immutable and safe to use from all workers.

#include <memory>
#include <string>
#include <string_view>

#include "proxy/base/arena.h"
#include "proxy/base/result.h"
#include "proxy/config/node.h"

namespace pillion::match {

class Regex {
 public:
  // Patterns of a tenant must not cost the proxy its memory.
  static constexpr size_t kMaxPatternBytes = 16 * 1024;
  static constexpr size_t kMaxMemoryBytes = 2 * 1024 * 1024;

  // An error says what is wrong with the pattern.
  static Result<std::shared_ptr<const Regex>> compile(std::string_view pattern);
  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  // The whole text.
  [[nodiscard]] bool matches(std::string_view text) const noexcept;
  [[nodiscard]] std::string_view pattern() const noexcept;

  // Is `substitution` ("/\\2/\\1") legal: known groups, no lone backslash?  Else what is wrong.
  [[nodiscard]] Status<> check_substitution(std::string_view substitution) const;
  // Each match in `text` replaced; `text` itself if there is none.
  [[nodiscard]] std::string_view replace_all(std::string_view text, std::string_view substitution,
                                             Arena& arena) const;

 private:
  struct Program;
  explicit Regex(std::unique_ptr<Program> program);
  std::unique_ptr<Program> program_;
};

using RegexPtr = std::shared_ptr<const Regex>;

// envoy.type.matcher.v3.RegexMatcher; null after an error, which is recorded.
RegexPtr parse_regex(const config::Node& node);

// envoy.type.matcher.v3.RegexMatchAndSubstitute.
struct RegexRewrite {
  RegexPtr regex;  // null: none
  std::string substitution;

  explicit operator bool() const noexcept { return regex != nullptr; }
  [[nodiscard]] std::string_view apply(std::string_view text, Arena& arena) const {
    return regex->replace_all(text, substitution, arena);
  }
};
// A missing node gives none.
RegexRewrite parse_regex_rewrite(const config::Node& node);

}  // namespace pillion::match
