#include "proxy/route/scopes.h"

#include <functional>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "proxy/config/value_hash.h"

namespace pillion::route {
namespace {

using config::combine_hashes;

// Null: there is no such field.  What the codec took out of the headers is found by its HTTP/2
// name.
const std::string_view* find_value(const http::RequestHead& head, std::string_view name) {
  const std::string_view* special = nullptr;
  if (name == ":authority" || name == "host") special = &head.authority;
  if (name == ":path") special = &head.path;
  if (name == ":method") special = &head.method_text;
  if (name == ":scheme") special = &head.scheme;
  if (special != nullptr) return special->empty() ? nullptr : special;
  const http::Field* field = head.headers.find(name);
  return field == nullptr ? nullptr : &field->value;
}

// Takes the first element off the text.  `separator` is not empty.
std::string_view take_element(std::string_view& text, std::string_view separator, bool& is_last) {
  const size_t end = text.find(separator);
  is_last = end == text.npos;
  const std::string_view element = text.substr(0, end);
  text.remove_prefix(is_last ? text.size() : end + separator.size());
  return element;
}

// Calls visit(element) until it returns true; true then.
template <typename Visit>
bool find_element(std::string_view text, std::string_view separator, Visit&& visit) {
  if (separator.empty()) return visit(text);
  for (bool is_last = false; !is_last;) {
    if (visit(take_element(text, separator, is_last))) return true;
  }
  return false;
}

bool extract(const ScopeKeyBuilder::Fragment& fragment, std::string_view value,
             std::string_view& out) {
  uint32_t at = 0;
  return find_element(value, fragment.element_separator, [&](std::string_view element) {
    if (fragment.separator.empty()) {
      out = element;
      return at++ == fragment.index;
    }
    const size_t end = element.find(fragment.separator);
    if (element.substr(0, end) != fragment.key) return false;
    out =
        end == element.npos ? std::string_view() : element.substr(end + fragment.separator.size());
    return true;
  });
}

template <typename Fragments>
uint64_t hash_of(const Fragments& fragments, size_t size) {
  uint64_t hash = size;
  for (size_t i = 0; i < size; ++i)
    hash = combine_hashes(hash, std::hash<std::string_view>{}(fragments[i]));
  return hash;
}

bool is_key(const std::vector<std::string>& key, const ScopeKey& wanted) {
  if (key.size() != wanted.size) return false;
  for (size_t i = 0; i < key.size(); ++i) {
    if (key[i] != wanted.fragments[i]) return false;
  }
  return true;
}

}  // namespace

bool ScopeKeyBuilder::build(const http::RequestHead& head, ScopeKey& out) const {
  out.size = 0;
  for (const Fragment& fragment : fragments_) {
    const std::string_view* value = find_value(head, fragment.header);
    if (value == nullptr || !extract(fragment, *value, out.fragments[out.size])) return false;
    ++out.size;
  }
  return out.size != 0;
}

std::string ScopeKeyBuilder::explain(const http::RequestHead& head) const {
  std::string text;
  for (const Fragment& fragment : fragments_) {
    const std::string_view* value = find_value(head, fragment.header);
    std::string_view found;
    const std::string name = config::printable(fragment.header);
    if (value == nullptr) return str("the request has no ", name);
    if (extract(fragment, *value, found)) {
      text += str(text.empty() ? "\"" : ", \"", config::printable(found), "\" of ", name);
    } else if (fragment.separator.empty()) {
      return str(name, " has no element ", fragment.index);
    } else {
      return str(name, " has no element \"", config::printable(fragment.key), '"');
    }
  }
  return text;
}

ScopeTable::ScopeTable(std::vector<Scope> scopes) : scopes_(std::move(scopes)) {
  by_key_.reserve(scopes_.size());
  for (uint32_t i = 0; i < scopes_.size(); ++i) {
    const Scope& scope = scopes_[i];
    hash_ = combine_hashes(hash_, scope.config->hash);
    hash_ = combine_hashes(hash_, scope.table == nullptr ? 0 : scope.table->hash());
    ScopeKey key;
    for (const std::string& fragment : scope.config->key) {
      if (key.size < kMaxScopeFragments) key.fragments[key.size++] = fragment;
    }
    if (look_up(key) == nullptr) by_key_.emplace(hash_of(key.fragments, key.size), i);
  }
}

const ScopeTable::Scope* ScopeTable::find(const ScopeKey& key) const {
  const Scope* const scope = look_up(key);
  if (scope != nullptr && scope->config->use != nullptr) scope->config->use->touch();
  return scope;
}

const ScopeTable::Scope* ScopeTable::look_up(const ScopeKey& key) const {
  const auto [begin, end] = by_key_.equal_range(hash_of(key.fragments, key.size));
  for (auto it = begin; it != end; ++it) {
    if (is_key(scopes_[it->second].config->key, key)) return &scopes_[it->second];
  }
  return nullptr;
}

}  // namespace pillion::route
