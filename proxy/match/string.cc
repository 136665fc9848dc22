#include "proxy/match/string.h"

#include <algorithm>
#include <utility>

#include "proxy/base/ascii.h"

namespace pillion::match {
namespace {

// `lower` occurs in `text`, whatever the case there.
bool contains_ignore_case(std::string_view text, std::string_view lower) {
  const auto same = [](char a, char b) { return to_lower(a) == b; };
  return std::search(text.begin(), text.end(), lower.begin(), lower.end(), same) != text.end();
}

bool equal(std::string_view a, std::string_view b, bool ignore_case) {
  return ignore_case ? equals_ignore_case(a, b) : a == b;
}

constexpr std::string_view kKindNames[] = {"exact", "prefix", "suffix", "contains", "regex"};

}  // namespace

StringMatcher::StringMatcher(Kind kind, std::string_view text, bool ignore_case)
    : text_(ignore_case ? lowered(text) : std::string(text)),
      kind_(kind),
      ignore_case_(ignore_case) {}

StringMatcher::StringMatcher(RegexPtr regex) : regex_(std::move(regex)), kind_(Kind::kRegex) {}

bool StringMatcher::matches(std::string_view text) const noexcept {
  const size_t n = text_.size();
  switch (kind_) {
    case Kind::kExact:
      return equal(text, text_, ignore_case_);
    case Kind::kPrefix:
      return text.size() >= n && equal(text.substr(0, n), text_, ignore_case_);
    case Kind::kSuffix:
      return text.size() >= n && equal(text.substr(text.size() - n), text_, ignore_case_);
    case Kind::kContains:
      return ignore_case_ ? contains_ignore_case(text, text_) : text.find(text_) != text.npos;
    case Kind::kRegex:
      return regex_ != nullptr && regex_->matches(text);
  }
  return false;
}

std::string StringMatcher::describe() const {
  const std::string_view text = regex_ ? regex_->pattern() : std::string_view(text_);
  return str(kKindNames[static_cast<size_t>(kind_)], " \"", text, '"',
             ignore_case_ ? " in any case" : "");
}

StringMatcher parse_string_matcher(const config::Node& node) {
  using Kind = StringMatcher::Kind;
  if (node.is_missing()) return StringMatcher(RegexPtr());
  node.unsupported({"custom"}, {}, config::Unknown::kAlwaysError);
  const config::Node pattern = node.one_of({"exact", "prefix", "suffix", "contains", "safe_regex"});
  const bool ignore_case = node["ignore_case"].as_bool_or(false);
  StringMatcher matcher{RegexPtr()};
  const std::string_view key = pattern.is_present() ? pattern.key() : std::string_view{};
  if (key == "safe_regex" || key == "safeRegex") {
    matcher = StringMatcher(parse_regex(pattern));
  } else if (pattern.is_present()) {
    const Kind kind = key == "exact"    ? Kind::kExact
                      : key == "prefix" ? Kind::kPrefix
                      : key == "suffix" ? Kind::kSuffix
                                        : Kind::kContains;
    // Envoy: only an exact text may be empty.
    const std::string text = kind == Kind::kExact ? pattern.as_string_or("") : pattern.as_string();
    matcher = StringMatcher(kind, text, ignore_case);
  }
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  return matcher;
}

}  // namespace pillion::match
