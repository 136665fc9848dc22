#include "proxy/config/node.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "proxy/base/assert.h"
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"

namespace pillion::config {
namespace {

// Stand in a mapping's list of asked keys for "all of them", "its wrong kind was reported" and so
// on.
constexpr std::string_view kAllKeys = "*";
constexpr std::string_view kWrongKind = "!";
constexpr std::string_view kClosed = ".";  // reject_unknown_keys() has been called

const Value* written_at(const Value* value) { return value->is_derived ? value->origin : value; }

void append_key(std::string& path, std::string_view key) {
  const bool is_plain = key.find_first_of(".[]\" ") == key.npos && !key.empty();
  if (!is_plain) {
    path += str("[\"", printable(key), "\"]");
  } else {
    if (!path.empty()) path += '.';
    path += printable(key);
  }
}

std::string path_of(const Value* value) {
  std::vector<const Value*> chain;
  for (value = written_at(value); value->parent != nullptr; value = value->parent) {
    chain.push_back(value);
  }
  std::string path;
  for (auto it = chain.rbegin(); it != chain.rend(); ++it) {
    if ((*it)->key != nullptr) {
      append_key(path, (*it)->key->text);
    } else {
      path += str('[', (*it)->index, ']');
    }
  }
  return path;
}

// What stands for all items of a list, and for all entries whose keys are no names of fields.
std::string without_indices(std::string_view path) {
  std::string out;
  for (; !path.empty(); path.remove_prefix(1)) {
    if (path.front() != '[') {
      out += path.front();
      continue;
    }
    const std::string_view end = path.starts_with("[\"") ? "\"]" : "]";
    path.remove_prefix(std::min(path.find(end, 2), path.size() - end.size()) + end.size() - 1);
  }
  return out;
}

// Where secrets stand: a text in the wrong place there may be the secret itself.
bool may_be_secret(const Value* value) {
  constexpr std::string_view kSecrets[] = {"private_key", "password", "generic_secret",
                                           "session_ticket_keys"};
  constexpr std::string_view kHolders[] = {"tls_certificate", "tls_certificates"};
  if (value->key != nullptr && is_any_field(*value->key, kHolders)) return true;
  for (; value != nullptr; value = value->parent)
    if (value->key != nullptr && is_any_field(*value->key, kSecrets)) return true;
  return false;
}

std::string describe(const Node& node) {
  switch (node.kind()) {
    case Kind::kNull:
      return "nothing";
    case Kind::kSequence:
      return "a list";
    case Kind::kMapping:
      return "a mapping";
    case Kind::kScalar:
      break;
  }
  if (may_be_secret(node.value())) return "a text that is not shown (it may be a secret)";
  const std::string text = printable(node.raw());
  return node.is_quoted() || text.empty() ? str('"', text, '"') : text;
}

}  // namespace

Node Node::missing(const Value* parent, std::string_view key, Errors* errors) {
  Node node(parent, errors);
  node.missing_key_ = key;
  return node;
}

std::string_view Node::key() const {
  if (!missing_key_.empty()) return missing_key_;
  if (value_ == nullptr || value_->key == nullptr) return {};
  return value_->key->text;
}

size_t Node::size() const { return is_sequence() || is_mapping() ? value_->size : 0; }

std::string Node::path() const {
  if (value_ == nullptr) return {};
  std::string path = path_of(value_);
  if (!missing_key_.empty()) append_key(path, missing_key_);
  return path;
}

Where Node::where() const {
  if (value_ == nullptr) return {};
  const Value* written = written_at(value_);
  return {*written->source, written->mark, path()};
}

Where Node::key_where() const {
  Where where = this->where();
  if (is_absent()) return where;
  const Value* written = written_at(value_);
  if (written->key != nullptr) where.mark = written->key_mark;
  return where;
}

// --- Mappings ----------------------------------------------------------------------------------

void Node::mark_known(std::string_view key) const {
  if (errors_ == nullptr) return;
  Errors::Names& names = errors_->asked_[value_];
  if (std::find(names.begin(), names.end(), key) == names.end()) names.push_back(key);
}

void Node::expected_kind(std::string_view what) const {
  if (errors_ == nullptr) return;
  Errors::Names& names = errors_->asked_[value_];
  if (std::find(names.begin(), names.end(), kWrongKind) != names.end()) return;
  names.push_back(kWrongKind);
  expected(what);
}

Node Node::find(std::string_view key) const {
  const Value* found = nullptr;
  for (const Value* child = value_->first_child; child != nullptr; child = child->next) {
    if (!is_same_field(*child->key, key)) continue;
    if (found == nullptr) {
      found = child;
    } else if (found->key->text != child->key->text) {
      Node(child, errors_).error(str("the same field as \"", found->key->text, '"'));
    }
  }
  return found == nullptr ? missing(value_, key, errors_) : Node(found, errors_);
}

Node Node::operator[](std::string_view key) const {
  if (is_absent()) return *this;
  if (value_->kind == Kind::kNull) return missing(value_, key, errors_);
  if (value_->kind != Kind::kMapping) {
    expected_kind("a mapping");
    return missing(value_, key, errors_);
  }
  mark_known(key);
  return find(key);
}

Node Node::required(std::string_view key) const {
  Node field = (*this)[key];
  // Of the wrong kind itself: that was reported.
  const bool may_have_fields = is_missing() || is_mapping();
  if (field.is_missing() && may_have_fields) field.error("required field is missing");
  return field;
}

bool Node::has(std::string_view key) const { return (*this)[key].is_present(); }

Node Node::one_of(std::initializer_list<std::string_view> keys, Need need) const {
  Node found;
  for (std::string_view key : keys) {
    Node field = (*this)[key];
    if (field.is_missing()) continue;
    if (found.is_missing()) {
      found = field;
    } else {
      field.error(str("only one of ", found.key(), " and ", field.key(), " may be given"));
    }
  }
  if (found.is_present()) return found;
  if (need == Need::kExactlyOne && (is_missing() || is_mapping())) {
    std::string names;
    for (std::string_view key : keys) names += (names.empty() ? "" : ", ") + std::string(key);
    error(keys.size() == 1 ? str("required field ", names, " is missing")
                           : str("expected one of ", names));
  }
  return keys.size() == 0 ? found : (*this)[*keys.begin()];
}

Entries Node::entries() const {
  if (is_missing()) return {nullptr, 0, errors_};
  if (!is_mapping()) {
    expected_kind("a mapping");
    return {nullptr, 0, errors_};
  }
  mark_known(kAllKeys);
  return {value_->first_child, value_->size, errors_};
}

Items Node::items() const {
  if (is_missing()) return {nullptr, 0, errors_};
  if (!is_sequence()) {
    expected_kind("a list");
    return {nullptr, 0, errors_};
  }
  return {value_->first_child, value_->size, errors_};
}

void Node::report_field(const Node& field, std::string text, bool is_tolerated) {
  if (is_tolerated) {
    Where where = field.key_where();
    const std::string name = without_indices(where.path);
    field.errors_->unknown_field(std::move(where), name, std::move(text));
  } else {
    field.errors_->error(field.key_where(), std::move(text));
  }
}

void Node::unsupported(std::initializer_list<std::string_view> keys, std::string_view reason,
                       Unknown unknown) const {
  if (errors_ == nullptr) return;
  const bool is_tolerated = unknown == Unknown::kAsConfigured &&
                            errors_->unknown_fields_policy() != UnknownFields::kError;
  for (std::string_view key : keys) {
    Node field = (*this)[key];
    if (field.is_missing()) continue;
    std::string text = "known to Envoy v3 but not supported by Pillion yet";
    if (!reason.empty()) text += str(" (", reason, ')');
    report_field(field, std::move(text), is_tolerated);
  }
}

void Node::ignore(std::initializer_list<std::string_view> keys) const {
  for (std::string_view key : keys) (void)(*this)[key];
}

void Node::leave_out(std::string_view name, std::string text) const {
  if (errors_ == nullptr) return;
  if (errors_->unknown_fields_policy() == UnknownFields::kError) return warn(std::move(text));
  errors_->unknown_field(where(), printable(name, 200), std::move(text));
}

void Node::reject_unknown_keys(Unknown unknown) const {
  if (is_missing() || errors_ == nullptr) return;
  if (!is_mapping()) return expected_kind("a mapping");
  const Errors::Names known = std::exchange(errors_->asked_[value_], Errors::Names{kClosed});
  if (std::find(known.begin(), known.end(), kAllKeys) != known.end()) return;
  const bool is_tolerated = unknown == Unknown::kAsConfigured && !errors_->refuses_unknown_names();
  for (const Value* child = value_->first_child; child != nullptr; child = child->next) {
    if (is_any_field(*child->key, known)) continue;
    report_field(Node(child, errors_), "unknown field" + did_you_mean(child->key->text, known),
                 is_tolerated);
  }
}

bool Errors::is_closed(const Value& mapping) const {
  const auto it = asked_.find(&mapping);
  return it != asked_.end() &&
         std::find(it->second.begin(), it->second.end(), kClosed) != it->second.end();
}

std::vector<Where> Errors::unfinished() const {
  constexpr std::string_view kFinal[] = {kAllKeys, kWrongKind, kClosed};
  std::vector<Where> out;
  for (const auto& [value, names] : asked_) {
    const bool is_done = std::find_first_of(names.begin(), names.end(), std::begin(kFinal),
                                            std::end(kFinal)) != names.end();
    if (!is_done) out.push_back(Node(value, nullptr).where());
  }
  return out;
}

// --- Errors ------------------------------------------------------------------------------------

void Node::error(std::string text) const {
  if (errors_ == nullptr) return;
  // Beyond the cap nobody reads the place, and finding it costs time.
  if (errors_->error_count() >= Errors::kMaxProblems) return errors_->error({}, {});
  errors_->error(where(), std::move(text));
}

void Node::warn(std::string text) const {
  if (errors_ != nullptr) errors_->warn(where(), std::move(text));
}

void Node::expected(std::string_view what, std::string_view hint) const {
  // A key in the wrong place is still one.
  const bool is_key = raw().find("PRIVATE KEY") != std::string_view::npos;
  std::string text = str("expected ", what, ", got ", is_key ? "a private key" : describe(*this));
  if (!hint.empty()) text += str(" (", hint, ')');
  error(std::move(text));
}

void Node::unknown_name(std::string_view what, std::span<const std::string_view> candidates) const {
  error(str("unknown ", what, " \"", printable(raw()), '"', did_you_mean(raw(), candidates)));
}

}  // namespace pillion::config
