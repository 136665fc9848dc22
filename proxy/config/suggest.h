#pragma once
// "did you mean": the nearest of a list of names, for messages.

#include <span>
#include <string>
#include <string_view>

namespace pillion::config {

// The candidate that a typing slip would turn into `name` (a third of its length may differ, case
// and
// '-' against '_' count nothing), or "".
std::string_view closest(std::string_view name, std::span<const std::string_view> candidates);

// " (did you mean "X"?)", or "" when nothing is near.
std::string did_you_mean(std::string_view name, std::span<const std::string_view> candidates);

// `text` as it may appear in a message or a log: control characters escaped, and cut
// after `max_bytes`.
std::string printable(std::string_view text, size_t max_bytes = 60);

// Is `camel` the camelCase spelling of the field `snake` (proto3 JSON mapping: accept_http_10 is
// acceptHttp10)?
bool is_camel_case_of(std::string_view camel, std::string_view snake);

}  // namespace pillion::config
