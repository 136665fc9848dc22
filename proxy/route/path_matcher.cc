#include "proxy/route/path_matcher.h"

#include <utility>

namespace pillion::route {

PathMatcher::PathMatcher(Kind kind, std::string_view text, bool ignore_case)
    : text_(text), kind_(kind), ignore_case_(ignore_case) {}

PathMatcher::PathMatcher(match::RegexPtr regex) : regex_(std::move(regex)), kind_(Kind::kRegex) {}

bool PathMatcher::matches_slowly(std::string_view path) const noexcept {
  if (path.empty()) return kind_ == Kind::kConnect;
  const auto same = [this](std::string_view a, std::string_view b) {
    return ignore_case_ ? equals_ignore_case(a, b) : a == b;
  };
  const size_t n = text_.size();
  switch (kind_) {
    case Kind::kPrefix:
      return path.size() >= n && same(path.substr(0, n), text_);
    case Kind::kExact:
      return same(path, text_);
    case Kind::kSeparatedPrefix:
      return path.size() >= n && (path.size() == n || path[n] == '/') &&
             same(path.substr(0, n), text_);
    case Kind::kRegex:
      return regex_ != nullptr && regex_->matches(path);
    case Kind::kConnect:
      return false;
  }
  return false;
}

std::string PathMatcher::describe() const {
  const std::string_view any_case = ignore_case_ ? " in any case" : "";
  switch (kind_) {
    case Kind::kPrefix:
      return str("prefix \"", text_, '"', any_case);
    case Kind::kExact:
      return str("path \"", text_, '"', any_case);
    case Kind::kSeparatedPrefix:
      return str("path-separated prefix \"", text_, '"', any_case);
    case Kind::kRegex:
      return str("regex \"", regex_ ? regex_->pattern() : "", '"');
    case Kind::kConnect:
      return "a CONNECT request";
  }
  return {};
}

}  // namespace pillion::route
