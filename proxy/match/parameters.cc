#include "proxy/match/parameters.h"

#include "proxy/base/str.h"

namespace pillion::match {
namespace {

// Takes the text before `separator` off the front of `rest`.
std::string_view take_until(std::string_view& rest, char separator) {
  const size_t at = rest.find(separator);
  const std::string_view part = rest.substr(0, at);
  rest = at == rest.npos ? std::string_view{} : rest.substr(at + 1);
  return part;
}

}  // namespace

std::optional<std::string_view> find_query_parameter(std::string_view query,
                                                     std::string_view name) {
  while (!query.empty()) {
    std::string_view value = take_until(query, '&');
    if (take_until(value, '=') == name) return value;
  }
  return std::nullopt;
}

std::optional<std::string_view> find_cookie(std::string_view header, std::string_view name) {
  while (!header.empty()) {
    std::string_view value = trim(take_until(header, ';'));
    if (value.find('=') == value.npos) continue;
    if (trim(take_until(value, '=')) != name) continue;
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    }
    return value;
  }
  return std::nullopt;
}

bool QueryParameterMatcher::matches(std::string_view path) const {
  const size_t at = path.find('?');
  const std::string_view query = at == path.npos ? std::string_view{} : path.substr(at + 1);
  const auto value = find_query_parameter(query, name_);
  if (!value_) return value.has_value() == want_present_;
  return value && value_->matches(*value);
}

std::string QueryParameterMatcher::describe() const {
  return str("query parameter ", name_, ' ',
             value_          ? value_->describe()
             : want_present_ ? "present"
                             : "absent");
}

QueryParameterMatcher parse_query_parameter_matcher(const config::Node& node) {
  QueryParameterMatcher m;
  m.name_ = node["name"].as_string();
  const config::Node how = node.one_of({"string_match", "present_match"}, config::Need::kAtMostOne);
  if (how.is_present() && how.key().starts_with("string")) {
    m.value_ = parse_string_matcher(how);
  } else if (how.is_present()) {
    m.want_present_ = how.as_bool();
  }
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  return m;
}

std::string CookieMatcher::describe() const {
  return str("cookie ", name_, invert_ ? " not " : " ", value_.describe());
}

CookieMatcher parse_cookie_matcher(const config::Node& node) {
  CookieMatcher m;
  m.name_ = node["name"].as_string();
  m.value_ = parse_string_matcher(node.required("string_match"));
  m.invert_ = node["invert_match"].as_bool_or(false);
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  return m;
}

}  // namespace pillion::match
