#pragma once
// PathMatcher: the path_specifier of a RouteMatch, compiled.  Immutable.

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/base/str.h"
#include "proxy/match/regex.h"

namespace pillion::route {

class PathMatcher {
 public:
  enum class Kind : uint8_t {
    kPrefix,
    kExact,
    kRegex,            // the whole path
    kSeparatedPrefix,  // "/api" matches "/api" and "/api/x", not "/apix"
    kConnect,          // CONNECT requests, which have no path
  };

  // Matches every path.
  PathMatcher() = default;
  PathMatcher(Kind kind, std::string_view text, bool ignore_case);
  explicit PathMatcher(match::RegexPtr regex);  // null matches nothing

  // `path` is without its query, and empty for CONNECT only.
  [[nodiscard]] bool matches(std::string_view path) const noexcept {
    if (kind_ == Kind::kPrefix && !ignore_case_) [[likely]] {
      return !path.empty() && path.starts_with(text_);
    }
    return matches_slowly(path);
  }
  // How much of a path that matches is replaced by prefix_rewrite.
  [[nodiscard]] size_t matched_length(std::string_view path) const noexcept {
    return kind_ == Kind::kPrefix || kind_ == Kind::kSeparatedPrefix ? text_.size() : path.size();
  }
  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  [[nodiscard]] std::string_view text() const noexcept { return text_; }
  [[nodiscard]] bool ignores_case() const noexcept { return ignore_case_; }
  // For people: `prefix "/api"`.
  [[nodiscard]] std::string describe() const;

 private:
  [[nodiscard]] bool matches_slowly(std::string_view path) const noexcept;

  std::string text_;
  match::RegexPtr regex_;
  Kind kind_ = Kind::kPrefix;
  bool ignore_case_ = false;
};

}  // namespace pillion::route
