#include "proxy/config/errors.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/config/runtime.h"
#include "proxy/config/value_hash.h"

namespace pillion::config {
namespace {

// Is one the path of the other, or of something above it?
bool is_same_branch(std::string_view a, std::string_view b) {
  if (a.size() > b.size()) std::swap(a, b);
  if (a.empty() || !b.starts_with(a)) return a == b;
  return a.size() == b.size() || b[a.size()] == '.' || b[a.size()] == '[';
}

std::string place_and_path(const Where& where) {
  std::string out = where.place();
  if (!where.path.empty()) out += (out.empty() ? "" : ": ") + where.path;
  return out;
}

}  // namespace

std::string Where::place() const {
  return mark.line == 0 ? source : str(source, ':', mark.line, ':', mark.column);
}

void add_unknown_fields(UnknownFieldMap& to, const UnknownFieldMap& more) {
  for (const auto& [name, field] : more) {
    if (const auto found = to.find(name); found != to.end()) {
      found->second.count += field.count;
    } else if (to.size() < Errors::kMaxProblems) {
      to.emplace(name, field);
    }
  }
}

std::string Problem::to_string() const {
  std::string out = place_and_path(where);
  if (!out.empty()) out += ": ";
  if (severity == Severity::kWarning) out += "warning: ";
  return out + text;
}

void Errors::error(Where where, std::string text) {
  add(Severity::kError, std::move(where), std::move(text));
}

void Errors::warn(Where where, std::string text) {
  add(Severity::kWarning, std::move(where), std::move(text));
}

void Errors::unknown_field(Where where, std::string_view name, std::string text) {
  if (const auto found = unknown_fields_.find(name); found != unknown_fields_.end()) {
    ++found->second.count;
  } else if (unknown_fields_.size() < kMaxProblems) {
    unknown_fields_.emplace(name, UnknownField{1, place_and_path(where)});
  }
  if (unknown_ == UnknownFields::kWarn) warn(std::move(where), std::move(text));
}

void Errors::note_file(const Value& name, std::string path, uint64_t contents) {
  files_.insert(std::move(path));
  contents_[&name] = contents;
}

uint64_t Errors::contents_of(const Value& name) const {
  const auto it = contents_.find(&name);
  return it == contents_.end() ? 0 : it->second;
}

const RuntimeValue* Errors::runtime_value(const Value& where, std::string_view key) {
  if (!runtime_keys_.contains(key)) runtime_keys_.emplace(key);
  const RuntimeValue* value = runtime_ == nullptr ? nullptr : runtime_->find(key);
  if (value == nullptr) return nullptr;
  uint64_t& contents = contents_[&where];
  contents = combine_hashes(contents, std::hash<std::string_view>{}(key));
  contents = combine_hashes(contents, std::hash<std::string>{}(value->text));
  return value;
}

std::vector<std::string> Errors::take_runtime_keys() {
  std::vector<std::string> keys(runtime_keys_.begin(), runtime_keys_.end());
  runtime_keys_.clear();
  return keys;
}

void Errors::add(Severity severity, Where where, std::string text) {
  size_t& count = severity == Severity::kError ? error_count_ : warning_count_;
  if (count < kMaxProblems && follows(where)) return;
  if (++count > kMaxProblems) return;
  problems_.push_back({std::move(where), std::move(text), severity});
}

bool Errors::follows(const Where& where) const {
  const auto end = problems_.begin() + static_cast<std::ptrdiff_t>(settled_);
  return std::any_of(problems_.begin(), end, [&where](const Problem& earlier) {
    return earlier.severity == Severity::kError && earlier.where.source == where.source &&
           is_same_branch(earlier.where.path, where.path);
  });
}

std::vector<Problem> Errors::sorted(Severity severity) const {
  std::vector<std::pair<size_t, const Problem*>> found;
  std::map<std::string_view, size_t> order_of_source;
  for (const Problem& p : problems_) {
    const size_t order =
        order_of_source.emplace(p.where.source, order_of_source.size()).first->second;
    if (p.severity == severity) found.emplace_back(order, &p);
  }
  auto rank = [](const std::pair<size_t, const Problem*>& p) {
    return std::make_tuple(p.first, p.second->where.mark.line, p.second->where.mark.column);
  };
  std::stable_sort(found.begin(), found.end(),
                   [&rank](const auto& a, const auto& b) { return rank(a) < rank(b); });
  std::vector<Problem> out;
  for (const auto& [order, problem] : found) {
    const bool is_repeated =
        std::any_of(out.rbegin(), out.rend(), [found_now = problem](auto& other) {
          return other.text == found_now->text && other.where.path == found_now->where.path &&
                 other.where.place() == found_now->where.place();
        });
    if (!is_repeated) out.push_back(*problem);
  }
  return out;
}

std::string Errors::to_string(Severity severity) const {
  std::string out;
  for (const Problem& problem : sorted(severity)) out += problem.to_string() + '\n';
  const size_t count = severity == Severity::kError ? error_count_ : warning_count_;
  if (count > kMaxProblems) out += str("and ", count - kMaxProblems, " more\n");
  return out;
}

}  // namespace pillion::config
