#include "proxy/base/json.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "proxy/base/str.h"

namespace pillion {
namespace {

using Value = nlohmann::json;
using Type = Value::value_t;

const Value& as_value(const void* value) { return *static_cast<const Value*>(value); }

// Nesting is checked before the library sees the text: its dump() recurses.
bool is_too_deep(std::string_view text, size_t max_depth) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > max_depth) return true;
    } else if (c == ']' || c == '}') {
      depth -= depth != 0 ? 1 : 0;
    }
  }
  return false;
}

// "[json.exception.parse_error.101] parse error at line 1, column 2: why" -> "line 1, column 2:
// why"
std::string short_message(std::string_view what) {
  for (std::string_view start : {"] parse error at ", "] "}) {
    const size_t at = what.find(start);
    if (at != std::string_view::npos) return std::string(what.substr(at + start.size()));
  }
  return std::string(what);
}

// The keys of the objects that are open while a text is parsed.
class KeyCheck {
 public:
  bool operator()(int, Value::parse_event_t event, const Value& value) {
    if (event == Value::parse_event_t::object_start) {
      open_.emplace_back();
    } else if (event == Value::parse_event_t::object_end) {
      open_.pop_back();
    } else if (event == Value::parse_event_t::key) {
      const auto& key = *value.get_ptr<const std::string*>();
      if (!open_.back().insert(key).second && twice_.empty()) twice_ = str("key \"", key, '"');
    }
    return true;
  }
  // The first key that came twice in an object; empty: none.
  [[nodiscard]] const std::string& twice() const noexcept { return twice_; }

 private:
  std::vector<std::set<std::string>> open_;
  std::string twice_;
};

}  // namespace

Result<JsonDocument> JsonDocument::parse(std::string_view text, size_t max_depth, Keys keys) {
  if (is_too_deep(text, max_depth)) return Error{str("nested deeper than ", max_depth, " levels")};
  try {
    if (keys == Keys::kLastWins)
      return JsonDocument(std::make_shared<const Value>(Value::parse(text)));
    KeyCheck check;
    auto value = std::make_shared<const Value>(Value::parse(text, std::ref(check)));
    if (!check.twice().empty()) return Error{str(check.twice(), " comes twice")};
    return JsonDocument(std::move(value));
  } catch (const Value::exception& e) {
    return Error{short_message(e.what())};
  }
}

Json::Kind Json::kind() const noexcept {
  if (value_ == nullptr) return Kind::kMissing;
  switch (as_value(value_).type()) {
    case Type::boolean:
      return Kind::kBool;
    case Type::number_integer:
    case Type::number_unsigned:
    case Type::number_float:
      return Kind::kNumber;
    case Type::string:
      return Kind::kString;
    case Type::array:
      return Kind::kArray;
    case Type::object:
      return Kind::kObject;
    default:
      return Kind::kNull;
  }
}

Json Json::operator[](std::string_view key) const {
  if (!is_object()) return {};
  const auto found = as_value(value_).find(key);
  return found == as_value(value_).end() ? Json() : Json(&*found);
}

size_t Json::size() const noexcept {
  const Kind k = kind();
  return k == Kind::kArray || k == Kind::kObject ? as_value(value_).size() : 0;
}

std::vector<Json> Json::items() const {
  std::vector<Json> all;
  if (!is_array()) return all;
  all.reserve(size());
  for (const Value& item : as_value(value_)) all.push_back(Json(&item));
  return all;
}

std::vector<std::pair<std::string_view, Json>> Json::entries() const {
  std::vector<std::pair<std::string_view, Json>> all;
  if (!is_object()) return all;
  all.reserve(size());
  for (const auto& entry : as_value(value_).items())
    all.emplace_back(entry.key(), Json(&entry.value()));
  return all;
}

std::string_view Json::as_string(std::string_view fallback) const noexcept {
  if (kind() != Kind::kString) return fallback;
  return *as_value(value_).get_ptr<const std::string*>();
}

bool Json::as_bool(bool fallback) const noexcept {
  return kind() == Kind::kBool ? *as_value(value_).get_ptr<const bool*>() : fallback;
}

double Json::as_double(double fallback) const noexcept {
  return kind() == Kind::kNumber ? as_value(value_).get<double>() : fallback;
}

std::optional<int64_t> Json::as_int() const noexcept {
  if (kind() != Kind::kNumber) return {};
  const Value& value = as_value(value_);
  if (value.is_number_unsigned()) {
    const auto n = value.get<uint64_t>();
    if (n > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return {};
    return static_cast<int64_t>(n);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  const auto n = value.get<double>();
  constexpr double kLimit = 9223372036854775808.0;  // 2^63
  if (!(n >= -kLimit && n < kLimit) || n != static_cast<double>(static_cast<int64_t>(n))) return {};
  return static_cast<int64_t>(n);
}

std::string Json::dump(int indent) const {
  if (is_missing()) return "null";
  return as_value(value_).dump(indent, ' ', false, Value::error_handler_t::replace);
}

}  // namespace pillion
