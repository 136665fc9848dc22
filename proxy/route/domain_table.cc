#include "proxy/route/domain_table.h"

#include <algorithm>
#include <cstring>

#include "proxy/base/str.h"

namespace pillion::route {

// Eight bytes at a time; setting bit 5 makes letters lower case, and what else it merges is told
// apart by Equal.
size_t DomainTable::Hash::operator()(std::string_view text) const noexcept {
  constexpr uint64_t kLower = 0x2020202020202020ULL;
  constexpr uint64_t kFactor = 0x9e3779b97f4a7c15ULL;
  uint64_t h = text.size() * kFactor;
  const auto mix = [&h](uint64_t word) {
    h = (h ^ word) * kFactor;
    h ^= h >> 32;
  };
  while (text.size() >= 8) {
    uint64_t word;
    std::memcpy(&word, text.data(), 8);
    mix(word | kLower);
    text.remove_prefix(8);
  }
  uint64_t word = 0;
  for (const char c : text) word = word << 8 | static_cast<uint8_t>(c);
  mix(word | kLower);
  return static_cast<size_t>(h);
}

bool DomainTable::Equal::operator()(std::string_view a, std::string_view b) const noexcept {
  return a == b || equals_ignore_case(a, b);
}

bool DomainTable::Wildcards::add(std::string_view text, uint32_t host) {
  if (!texts.emplace(std::string(text), host).second) return false;
  const auto length = static_cast<uint32_t>(text.size());
  const auto at = std::lower_bound(lengths.begin(), lengths.end(), length, std::greater<>());
  if (at == lengths.end() || *at != length) lengths.insert(at, length);
  return true;
}

bool DomainTable::add(std::string_view domain, uint32_t host) {
  if (domain == "*") {
    if (any_) return false;
    any_ = host;
    return true;
  }
  if (domain.starts_with('*')) return suffixes_.add(domain.substr(1), host);
  if (domain.ends_with('*')) return prefixes_.add(domain.substr(0, domain.size() - 1), host);
  return exact_.emplace(std::string(domain), host).second;
}

std::optional<uint32_t> DomainTable::find_domain(std::string_view domain) const {
  if (domain == "*") return any_;
  const Map* map = &exact_;
  if (domain.starts_with('*')) {
    map = &suffixes_.texts;
    domain.remove_prefix(1);
  } else if (domain.ends_with('*')) {
    map = &prefixes_.texts;
    domain.remove_suffix(1);
  }
  const auto it = map->find(domain);
  return it == map->end() ? std::nullopt : std::optional(it->second);
}

DomainTable::Found DomainTable::look_up(std::string_view authority) const {
  if (exact_.empty() && suffixes_.lengths.empty() && prefixes_.lengths.empty()) return {};
  if (const auto it = exact_.find(authority); it != exact_.end()) return {&*it, false, false};
  for (const uint32_t length : suffixes_.lengths) {
    if (length >= authority.size()) continue;
    const auto it = suffixes_.texts.find(authority.substr(authority.size() - length));
    if (it != suffixes_.texts.end()) return {&*it, true, false};
  }
  for (const uint32_t length : prefixes_.lengths) {
    if (length >= authority.size()) continue;
    const auto it = prefixes_.texts.find(authority.substr(0, length));
    if (it != prefixes_.texts.end()) return {&*it, false, true};
  }
  return {};
}

std::optional<uint32_t> DomainTable::find(std::string_view authority) const {
  const Found found = look_up(authority);
  return found.entry != nullptr ? std::optional(found.entry->second) : any_;
}

std::optional<DomainTable::Hit> DomainTable::explain(std::string_view authority) const {
  const Found found = look_up(authority);
  if (found.entry != nullptr) {
    return Hit{found.entry->second,
               str(found.is_suffix ? "*" : "", found.entry->first, found.is_prefix ? "*" : "")};
  }
  if (any_) return Hit{*any_, "*"};
  return std::nullopt;
}

std::string_view check_domain(std::string_view domain) {
  if (domain.empty()) return "a domain, such as users.shop, *.shop, users.* or *";
  for (const char c : domain) {
    if (c <= ' ' || c == '/' || c == 0x7f) return "a domain without spaces and slashes";
  }
  const size_t star = domain.find('*');
  if (star == domain.npos || domain == "*") return {};
  const bool at_one_end = star == 0 || star == domain.size() - 1;
  if (!at_one_end || domain.find('*', star + 1) != domain.npos) {
    return "a domain with at most one '*', at its start or its end";
  }
  return {};
}

std::string_view without_port(std::string_view authority) noexcept {
  const size_t colon = authority.rfind(':');
  if (colon == authority.npos) return authority;
  // In "[::1]" the colons belong to the address.
  if (authority.find(']', colon) != authority.npos) return authority;
  return authority.substr(0, colon);
}

}  // namespace pillion::route
