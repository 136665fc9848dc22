#include "proxy/config/runtime.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"

namespace pillion::config {
namespace {

constexpr size_t kMaxNesting = 16;

bool is_fraction(const Node& node) {
  if (!node.is_mapping()) return false;
  for (const Value* v = node.value()->first_child; v != nullptr; v = v->next)
    if (v->key->text == "numerator" || v->key->text == "denominator") return true;
  return false;
}

class LayerReader {
 public:
  void read(const Node& node, const std::string& prefix, size_t depth) {
    for (const Entry entry : node.entries()) {
      const std::string key = prefix.empty() ? std::string(entry.key) : str(prefix, '.', entry.key);
      if (values.size() >= kMaxRuntimeKeys)
        return entry.node.error(
            str("a layer of the runtime has more than ", kMaxRuntimeKeys, " keys"));
      if (is_fraction(entry.node)) {
        RuntimeValue& value = values[key];
        const Fraction f = entry.node.as_fraction_or({});
        value.fraction = f;
        value.text = str(f.numerator, '/', f.denominator);
      } else if (entry.node.is_mapping()) {
        if (depth >= kMaxNesting) return entry.node.error("is nested too deeply");
        read(entry.node, key, depth + 1);
      } else if (entry.node.is_sequence()) {
        entry.node.expected("a number, a text, true or false");
      } else {
        values[key] = parse_runtime_value(entry.node.raw());
      }
    }
  }

  RuntimeValues values;
};

}  // namespace

std::optional<uint64_t> RuntimeValue::unsigned_number() const {
  constexpr double kMost = 9007199254740992;  // up to which doubles are exact
  if (!number || *number < 0 || *number > kMost || std::floor(*number) != *number)
    return std::nullopt;
  return static_cast<uint64_t>(*number);
}

RuntimeValue parse_runtime_value(std::string_view text) {
  RuntimeValue value;
  value.text = text;
  const std::string word = lowered(text);
  if (word == "true" || word == "false") value.boolean = word == "true";
  if (const Result<double> number = parse_double(text)) value.number = *number;
  return value;
}

RuntimeValues parse_runtime_values(const Node& layer) {
  LayerReader reader;
  if (layer.is_present()) reader.read(layer, {}, 0);
  return std::move(reader.values);
}

const RuntimeValue* Runtime::find(std::string_view key) const {
  const auto it = values_.find(key);
  return it == values_.end() ? nullptr : &it->second;
}

bool Runtime::has_any(std::string_view prefix) const {
  const auto it = values_.lower_bound(prefix);
  return it != values_.end() && it->first.starts_with(prefix);
}

std::vector<std::string> Runtime::changes_from(const Runtime& former) const {
  std::vector<std::string> keys;
  for (const auto& [key, value] : values_) {
    const RuntimeValue* before = former.find(key);
    if (before == nullptr || *before != value) keys.push_back(key);
  }
  for (const auto& [key, value] : former.values_)
    if (find(key) == nullptr) keys.push_back(key);
  std::ranges::sort(keys);
  return keys;
}

// ---- what parsers ask ----

namespace {

const RuntimeValue* look_up(const Node& node, std::string_view key) {
  if (node.errors() == nullptr || node.value() == nullptr || key.empty()) return nullptr;
  return node.errors()->runtime_value(*node.value(), key);
}

void refuse(const Node& node, std::string_view key, const RuntimeValue& value,
            std::string_view what) {
  node.errors()->count_unusable_runtime_value();
  node.warn(str("the runtime's value of \"", printable(key), "\" does not count: expected ", what,
                ", got \"", printable(value.text), '"'));
}

}  // namespace

uint64_t runtime_uint(const Node& node, std::string_view key, uint64_t fallback, uint64_t max) {
  const RuntimeValue* value = look_up(node, key);
  if (value == nullptr) return fallback;
  const std::optional<uint64_t> number = value->unsigned_number();
  if (number && *number <= max) return *number;
  refuse(node, key, *value, str("a whole number of at most ", max));
  return fallback;
}

double runtime_double(const Node& node, std::string_view key, double fallback) {
  const RuntimeValue* value = look_up(node, key);
  if (value == nullptr) return fallback;
  if (value->number && *value->number >= 0) return *value->number;
  refuse(node, key, *value, "a number of at least 0");
  return fallback;
}

bool runtime_bool(const Node& node, std::string_view key, bool fallback) {
  const RuntimeValue* value = look_up(node, key);
  if (value == nullptr) return fallback;
  if (value->boolean) return *value->boolean;
  refuse(node, key, *value, "true or false");
  return fallback;
}

// A whole number is a percentage; what is above 100 is all, as in Envoy.
Fraction runtime_fraction(const Node& node, std::string_view key, Fraction fallback) {
  const RuntimeValue* value = look_up(node, key);
  if (value == nullptr) return fallback;
  if (value->fraction) return *value->fraction;
  if (const auto number = value->unsigned_number())
    return {static_cast<uint32_t>(std::min<uint64_t>(*number, 100)), 100};
  refuse(node, key, *value, "a whole number of per cent, or { numerator, denominator }");
  return fallback;
}

// ---- fields that name a key ----

namespace {

// RuntimeX { default_value, runtime_key }, from both of them.  `node` is closed.
template <typename T, typename Default, typename Override>
T with_runtime_key(const Node& node, Default&& by_default, Override&& by_runtime) {
  const T fallback = by_default(node["default_value"]);
  const Node key = node["runtime_key"];
  const std::string_view name = key.as_view_or();
  node.reject_unknown_keys();
  return key.is_present() ? by_runtime(key, name, fallback) : fallback;
}

}  // namespace

uint32_t Node::as_runtime_u32_or(uint32_t fallback) const {
  if (is_missing()) return fallback;
  return with_runtime_key<uint32_t>(
      *this, [&](const Node& value) { return value.as_u32_or(fallback); },
      [](const Node& where, std::string_view key, uint32_t otherwise) {
        return static_cast<uint32_t>(runtime_uint(where, key, otherwise));
      });
}

double Node::as_runtime_double_or(double fallback) const {
  if (is_missing()) return fallback;
  return with_runtime_key<double>(
      *this, [&](const Node& value) { return value.as_double_or(fallback); },
      [](const Node& where, std::string_view key, double otherwise) {
        return runtime_double(where, key, otherwise);
      });
}

// RuntimeFeatureFlag: without default_value it says nothing, which Envoy refuses, too.
bool Node::as_runtime_bool_or(bool fallback) const {
  if (is_missing()) return fallback;
  (void)required("default_value");
  return with_runtime_key<bool>(
      *this, [&](const Node& value) { return value.as_bool_or(fallback); },
      [](const Node& where, std::string_view key, bool otherwise) {
        return runtime_bool(where, key, otherwise);
      });
}

// RuntimeFractionalPercent that has one of its fields.
Fraction Node::runtime_fraction_or(Fraction fallback) const {
  return with_runtime_key<Fraction>(
      *this, [&](const Node& value) { return value.as_fraction_or(fallback); },
      [](const Node& where, std::string_view key, Fraction otherwise) {
        return runtime_fraction(where, key, otherwise);
      });
}

Fraction Node::as_runtime_fraction_or(Fraction fallback) const {
  if (!is_mapping() || has("default_value")) return as_fraction_or(fallback);
  (void)required("default_value");
  ignore({"runtime_key"});
  reject_unknown_keys();
  return fallback;
}

}  // namespace pillion::config
