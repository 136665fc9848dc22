#include "filters/authz/apply.h"

#include <algorithm>
#include <utility>

#include "proxy/http/field_rules.h"

namespace pillion::filters::authz {
namespace {

// What says how long a message is, or belongs to one connection: the codec's alone.
bool is_codecs(std::string_view name) {
  using http::HeaderId;
  const HeaderId id = http::find_header_id(name);
  return http::is_connection_specific(id) || id == HeaderId::kContentLength ||
         id == HeaderId::kTe || id == HeaderId::kTrailer || id == HeaderId::kExpect;
}

// The pseudo-headers that Envoy lets a service set, as long as no rules forbid it.
bool is_settable_pseudo(std::string_view name) {
  return name == ":path" || name == ":authority" || name == "host";
}

bool is_legal_value(const HeaderChange& change) {
  if (change.name == ":path")
    return change.value.starts_with('/') && http::is_target_text(change.value) &&
           change.value.find('#') == std::string_view::npos;
  if (change.name == ":authority" || change.name == "host")
    return !change.value.empty() && http::is_target_text(change.value) &&
           change.value.find_first_of("/?#@\\") == std::string_view::npos;
  return http::is_bare_value(change.value);
}

bool are_legal(const std::vector<HeaderChange>& changes, bool of_request) {
  return std::ranges::all_of(changes, [of_request](const HeaderChange& change) {
    const bool is_name =
        http::is_lower_case_token(change.name) || (of_request && is_settable_pseudo(change.name));
    return is_name && is_legal_value(change);
  });
}

bool is_parameter_text(std::string_view text, std::string_view without) {
  return text.empty() ||
         (http::is_target_text(text) && text.find_first_of(without) == std::string_view::npos);
}

std::string_view* pseudo(http::RequestHead& head, std::string_view name) {
  if (name == ":path") return &head.path;
  return name == ":authority" || name == "host" ? &head.authority : nullptr;
}

void change_headers(const HeaderChange& change, http::Headers& headers) {
  const bool is_there = headers.find(change.name) != nullptr;
  switch (change.action) {
    case HeaderAction::kAppend:
      break;
    case HeaderAction::kAddIfAbsent:
      if (is_there) return;
      break;
    case HeaderAction::kOverwriteIfExists:
      if (!is_there) return;
      [[fallthrough]];
    case HeaderAction::kOverwriteOrAdd:
      headers.remove(change.name);
      break;
  }
  headers.add(change.name, change.value);
}

bool is_named(std::string_view parameter, std::string_view key) {
  return parameter.substr(0, parameter.find('=')) == key;
}

// "/a?b=1&c=2" with what the answer sets and without what it removes; the rest as it was.
std::string_view change_query(const Answer& answer, std::string_view path, Arena& arena) {
  size_t most = path.size() + 1;
  for (const auto& [key, value] : answer.query_set) most += key.size() + value.size() + 2;
  char* const out = arena.allocate_array<char>(most);
  const size_t mark = std::min(path.find('?'), path.size());
  char* end = std::ranges::copy(path.substr(0, mark), out).out;
  char separator = '?';
  const auto put = [&](std::string_view text) { end = std::ranges::copy(text, end).out; };
  std::string_view query = path.substr(std::min(mark + 1, path.size()));
  while (!query.empty()) {
    const size_t size = std::min(query.find('&'), query.size());
    const std::string_view parameter = query.substr(0, size);
    query.remove_prefix(std::min(size + 1, query.size()));
    const auto names_it = [parameter](std::string_view key) { return is_named(parameter, key); };
    const bool is_gone =
        std::ranges::any_of(answer.query_removed, names_it) ||
        std::ranges::any_of(answer.query_set, [&](const auto& p) { return names_it(p.first); });
    if (is_gone) continue;
    *end++ = std::exchange(separator, '&');
    put(parameter);
  }
  for (const auto& [key, value] : answer.query_set) {
    const bool is_removed =
        std::ranges::find(answer.query_removed, key) != answer.query_removed.end();
    if (is_removed) continue;
    *end++ = std::exchange(separator, '&');
    put(key);
    *end++ = '=';
    put(value);
  }
  return {out, static_cast<size_t>(end - out)};
}

}  // namespace

bool is_legal(const Answer& answer, const MutationRules* rules) {
  if (answer.is_invalid || !are_legal(answer.request_headers, true) ||
      !are_legal(answer.response_headers, false) || !are_legal(answer.reply_headers, false)) {
    return false;
  }
  for (const auto& [key, value] : answer.query_set) {
    if (key.empty() || !is_parameter_text(key, "&#=") || !is_parameter_text(value, "&#"))
      return false;
  }
  if (rules == nullptr || !rules->disallow_is_error) return true;
  return std::ranges::all_of(answer.request_headers,
                             [rules](const auto& c) { return rules->allows(c.name); }) &&
         std::ranges::all_of(answer.removed, [rules](auto name) { return rules->allows(name); });
}

bool apply_to_request(const Answer& answer, const MutationRules* rules, http::RequestHead& head,
                      Arena& arena) {
  const auto may = [rules](std::string_view name) {
    return !is_codecs(name) && (rules == nullptr || rules->allows(name));
  };
  bool is_changed = false;
  for (const HeaderChange& change : answer.request_headers) {
    if (!may(change.name)) continue;
    is_changed = true;
    std::string_view* const field = pseudo(head, change.name);
    if (field == nullptr) {
      change_headers(change, head.headers);
    } else if (change.action != HeaderAction::kAddIfAbsent && !head.path.empty()) {
      *field = change.value;  // there is one, and one can be
    }
  }
  for (const std::string_view name : answer.removed) {
    if (name.starts_with(':') || name == "host" || !may(name)) continue;
    head.headers.remove(name);
    is_changed = true;
  }
  const bool changes_query = !answer.query_set.empty() || !answer.query_removed.empty();
  if (changes_query && !head.path.empty()) {
    head.path = change_query(answer, head.path, arena);
    is_changed = true;
  }
  return is_changed;
}

void apply_to_headers(const std::vector<HeaderChange>& changes, http::Headers& headers) {
  constexpr auto kSet = HeaderAction::kOverwriteOrAdd;
  for (const HeaderChange& change : changes) {
    if (change.action == kSet && !is_codecs(change.name)) headers.remove(change.name);
  }
  for (const HeaderChange& change : changes) {
    if (is_codecs(change.name)) continue;
    if (change.action == kSet) {
      headers.add(change.name, change.value);
    } else {
      change_headers(change, headers);
    }
  }
}

}  // namespace pillion::filters::authz
