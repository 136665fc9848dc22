#pragma once
// Matchers of single query parameters and cookies (envoy.config.route.v3.QueryParameterMatcher and
// CookieMatcher), compiled.  Immutable; nothing is allocated while matching.

#include <optional>
#include <string>
#include <string_view>

#include "proxy/config/node.h"
#include "proxy/match/string.h"

namespace pillion::match {

// Value of the first parameter of that name in "a=1&b=2", as it stands there, not unescaped; "" for
// one without '='.
std::optional<std::string_view> find_query_parameter(std::string_view query, std::string_view name);

// Value of the first cookie of that name in one Cookie header, without quotes around it.
std::optional<std::string_view> find_cookie(std::string_view header, std::string_view name);

class QueryParameterMatcher {
 public:
  // `path` is a whole request target: "/a?b=1".
  [[nodiscard]] bool matches(std::string_view path) const;
  // For people: `query parameter v exact "2"`.
  [[nodiscard]] std::string describe() const;

 private:
  friend QueryParameterMatcher parse_query_parameter_matcher(const config::Node& node);
  std::string name_;
  std::optional<StringMatcher> value_;  // none: only whether it is there
  bool want_present_ = true;
};
QueryParameterMatcher parse_query_parameter_matcher(const config::Node& node);

class CookieMatcher {
 public:
  // `headers` is an http::Headers.
  template <typename Headers>
  [[nodiscard]] bool matches(const Headers& headers) const {
    std::optional<std::string_view> value;
    headers.for_each_of("cookie", [&](const auto& field) {
      if (!value) value = find_cookie(field.value, name_);
    });
    return (value && value_.matches(*value)) != invert_;
  }
  [[nodiscard]] std::string describe() const;

 private:
  friend CookieMatcher parse_cookie_matcher(const config::Node& node);
  std::string name_;
  StringMatcher value_;
  bool invert_ = false;
};
CookieMatcher parse_cookie_matcher(const config::Node& node);

}  // namespace pillion::match
