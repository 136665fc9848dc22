#include "filters/rbac/uri_template.h"

#include <algorithm>

#include "proxy/base/str.h"

namespace pillion::filters::rbac {
namespace {

constexpr size_t kMaxOperators = 5;  // as in Envoy

bool is_name(std::string_view text) {
  const auto is_byte = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !text.empty() && std::ranges::all_of(text, is_byte);
}

// Takes an operator off the front: "*", "**", or empty for what is none of them.
Result<std::string_view> take_operator(std::string_view& text) {
  if (text.front() == '{') {
    const size_t end = text.find('}');
    if (end == text.npos) return Error{"'{' without '}'"};
    const std::string_view variable = text.substr(1, end - 1);
    const size_t equals = variable.find('=');
    const std::string_view pattern = equals == variable.npos ? "*" : variable.substr(equals + 1);
    if (!is_name(variable.substr(0, equals))) return Error{"expected a name behind '{'"};
    if (pattern != "*" && pattern != "**") return Error{"expected * or ** behind '='"};
    text.remove_prefix(end + 1);
    return pattern;
  }
  const std::string_view taken = text.starts_with("**") ? "**" : text.starts_with('*') ? "*" : "";
  text.remove_prefix(taken.size());
  return taken;
}

}  // namespace

Result<std::string> regex_of_template(std::string_view text) {
  if (!text.starts_with('/')) return Error{"expected a template that begins with '/'"};
  std::string regex;
  size_t operators = 0;
  bool ends = false;  // "**" was there
  bool is_behind_operator = false;
  while (!text.empty()) {
    const char c = text.front();
    const auto taken = take_operator(text);
    if (!taken) return Error{taken.error()};
    if (!taken->empty()) {
      if (ends) return Error{"nothing but text may come behind **"};
      if (is_behind_operator) return Error{"expected text between two operators"};
      if (++operators > kMaxOperators)
        return Error{str("expected at most ", kMaxOperators, " operators")};
      ends = *taken == "**";
      regex += ends ? ".*" : "[^/]+";
      is_behind_operator = true;
      continue;
    }
    if (c == '}' || c == '?' || c == '#' || static_cast<unsigned char>(c) <= ' ')
      return Error{str("unexpected '", c, '\'')};
    is_behind_operator = false;
    const bool is_plain = is_name(text.substr(0, 1)) || c == '/' || c == '-';
    if (!is_plain) regex += '\\';
    regex += c;
    text.remove_prefix(1);
  }
  return regex;
}

}  // namespace pillion::filters::rbac
