#include "filters/jwt/locations.h"

#include <algorithm>
#include <tuple>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"

namespace pillion::filters::jwt {
namespace {

using Found = Locations::Found;

void push(Found& found, std::string_view text, const Location& location) {
  if (found.count == Locations::kMaxTokens) {
    found.has_more = true;
  } else {
    found.tokens[found.count++] = {text, &location};
  }
}

constexpr bool is_token_char(char c) noexcept {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

// Where the first prefix in the value ends, or npos.  One that ends in a space is a scheme, such as
// "Bearer ", which has no case, and spaces and tabs may follow it (RFC 9110, 11.1 and 5.6.3):
// servers read them all, and one that we did not see would be a token that nobody has judged.
size_t end_of_prefix(std::string_view value, std::string_view prefix) {
  if (!prefix.ends_with(' ')) {
    const size_t at = value.find(prefix);
    return at == value.npos ? at : at + prefix.size();
  }
  const std::string_view word = prefix.substr(0, prefix.find_last_not_of(' ') + 1);
  for (size_t end = word.size(); end < value.size(); ++end) {
    const bool is_space = value[end] == ' ' || value[end] == '\t';
    if (is_space && equals_ignore_case(value.substr(end - word.size(), word.size()), word))
      return end + 1;
  }
  return value.npos;
}

// What follows the prefix, wherever that is in the value, from the first character on that a token
// can have; without such a one the whole value, which is then no token.  As Envoy.
bool cut_prefix(std::string_view& value, std::string_view prefix) {
  if (prefix.empty()) return true;
  const size_t end = end_of_prefix(value, prefix);
  if (end == value.npos) return false;
  const std::string_view rest = value.substr(end);
  const auto* const begin = std::ranges::find_if(rest, is_token_char);
  if (begin != rest.end()) value = rest.substr(static_cast<size_t>(begin - rest.begin()));
  return true;
}

void find_in_headers(Found& found, const Location& location, const http::RequestHead& head) {
  head.headers.for_each_of(location.name, [&](const http::Field& field) {
    std::string_view value = field.value;
    if (cut_prefix(value, location.prefix)) push(found, value, location);
  });
}

// Takes the next "a=b" off a query; false at its end.
bool next_parameter(std::string_view& query, std::string_view& parameter) {
  if (query.empty()) return false;
  const size_t end = std::min(query.find('&'), query.size());
  parameter = query.substr(0, end);
  query.remove_prefix(std::min(end + 1, query.size()));
  return true;
}

std::string_view unescaped(std::string_view text, Arena& arena) {
  if (text.find('%') == text.npos) return text;
  char* const out = arena.allocate_array<char>(text.size());
  size_t size = 0;
  while (!text.empty()) {
    const int byte = escaped_byte(text);
    out[size++] = byte >= 0 ? static_cast<char>(byte) : text.front();
    text.remove_prefix(byte >= 0 ? 3 : 1);
  }
  return {out, size};
}

std::string_view name_of(std::string_view parameter, Arena& arena) {
  return unescaped(parameter.substr(0, parameter.find('=')), arena);
}

void find_in_query(Found& found, const Location& location, std::string_view query, Arena& arena) {
  std::string_view parameter;
  while (next_parameter(query, parameter)) {
    if (name_of(parameter, arena) != location.name) continue;
    const size_t equals = parameter.find('=');
    push(found,
         equals == parameter.npos ? std::string_view()
                                  : unescaped(parameter.substr(equals + 1), arena),
         location);
  }
}

void find_in_cookies(Found& found, const Location& location, const http::RequestHead& head) {
  head.headers.for_each_of("cookie", [&](const http::Field& field) {
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find(';'), rest.size());
      const std::string_view pair = trim(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      const size_t equals = pair.find('=');
      if (equals == pair.npos || trim(pair.substr(0, equals)) != location.name) continue;
      std::string_view value = pair.substr(equals + 1);
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
        value = value.substr(1, value.size() - 2);
      push(found, value, location);
    }
  });
}

// "/a?b=1&token=2&c=3" without `token`; the others as they were.
std::string_view without_parameter(std::string_view path, std::string_view name, Arena& arena) {
  const size_t mark = path.find('?');
  if (mark == path.npos) return path;
  char* const out = arena.allocate_array<char>(path.size());
  char* end = std::ranges::copy(path.substr(0, mark), out).out;
  std::string_view query = path.substr(mark + 1);
  std::string_view parameter;
  char separator = '?';
  while (next_parameter(query, parameter)) {
    if (name_of(parameter, arena) == name) continue;
    *end++ = std::exchange(separator, '&');
    end = std::ranges::copy(parameter, end).out;
  }
  return {out, static_cast<size_t>(end - out)};
}

}  // namespace

bool Location::takes(std::string_view issuer) const {
  return takes_any_issuer || std::ranges::find(issuers, issuer) != issuers.end();
}

void Locations::add(const Provider& provider) {
  for (const TokenHeader& header : provider.from_headers)
    add(Location::Kind::kHeader, header.name, header.prefix, provider);
  for (const std::string& name : provider.from_params)
    add(Location::Kind::kParameter, name, {}, provider);
  for (const std::string& name : provider.from_cookies)
    add(Location::Kind::kCookie, name, {}, provider);
}

void Locations::add(Location::Kind kind, std::string_view name, std::string_view prefix,
                    const Provider& provider) {
  auto it = std::ranges::find_if(list_, [&](const Location& l) {
    return l.kind == kind && l.name == name && l.prefix == prefix;
  });
  if (it == list_.end()) {
    list_.push_back({kind, std::string(name), std::string(prefix), false, {}});
    it = std::prev(list_.end());
  }
  if (provider.issuer.empty()) {
    it->takes_any_issuer = true;
  } else {
    it->issuers.push_back(provider.issuer);
  }
}

void Locations::sort() {
  std::ranges::sort(list_, {},
                    [](const Location& l) { return std::tuple(l.kind, str(l.name, l.prefix)); });
}

Found Locations::find(const http::RequestHead& head, Arena& arena) const {
  Found found;
  const size_t mark = head.path.find('?');
  const std::string_view query =
      mark == head.path.npos ? std::string_view() : head.path.substr(mark + 1);
  for (const Location& location : list_) {
    switch (location.kind) {
      case Location::Kind::kHeader:
        find_in_headers(found, location, head);
        break;
      case Location::Kind::kParameter:
        if (!query.empty()) find_in_query(found, location, query, arena);
        break;
      case Location::Kind::kCookie:
        find_in_cookies(found, location, head);
        break;
    }
  }
  return found;
}

void Locations::remove(const Location& location, http::RequestHead& head, Arena& arena) {
  switch (location.kind) {
    case Location::Kind::kHeader:
      head.headers.remove(location.name);
      return;
    case Location::Kind::kParameter:
      head.path = without_parameter(head.path, location.name, arena);
      return;
    case Location::Kind::kCookie:
      return;
  }
}

}  // namespace pillion::filters::jwt
