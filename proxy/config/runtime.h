#pragma once
// Runtime: values by key that go over numbers of the configuration (Envoy's layered_runtime;
// envoy.md 1.10).
//
// Keys are looked up by parsers, when a piece is compiled, and never for a request: whoever makes a
// configuration gives its Errors the Runtime that holds, each piece remembers the keys that it
// asked for (Errors::runtime_keys), and a change of one compiles the piece again.  So the data path
// pays nothing for them.
//
//   c.enabled = node["filter_enabled"].as_runtime_fraction_or(c.enabled);
//   c.limit = runtime_uint(node, "fault.http.max_active_faults", c.limit);  // a key of Envoy's own
//
// Immutable once made; any thread.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/node.h"

namespace pillion::config {

// What a value can be read as; what it is not is empty.
struct RuntimeValue {
  std::string text;  // for people
  std::optional<bool> boolean;
  std::optional<double> number;
  std::optional<Fraction> fraction;

  [[nodiscard]] std::optional<uint64_t> unsigned_number() const;
  bool operator==(const RuntimeValue&) const = default;
};
using RuntimeValues = std::map<std::string, RuntimeValue, std::less<>>;

// Of one layer; more keys are an error.
inline constexpr size_t kMaxRuntimeKeys = 10'000;

// A value of the admin layer.
RuntimeValue parse_runtime_value(std::string_view text);
// A layer: scalars by key; mappings in it join their keys with '.', but for `{ numerator,
// denominator }`.  Lists are errors.
RuntimeValues parse_runtime_values(const Node& layer);

class Runtime {
 public:
  Runtime() = default;
  explicit Runtime(RuntimeValues values) : values_(std::move(values)) {}

  [[nodiscard]] const RuntimeValue* find(std::string_view key) const;
  // Is there a key that begins like that?
  [[nodiscard]] bool has_any(std::string_view prefix) const;
  [[nodiscard]] const RuntimeValues& values() const noexcept { return values_; }
  // Keys whose values differ, sorted.
  [[nodiscard]] std::vector<std::string> changes_from(const Runtime& former) const;

 private:
  RuntimeValues values_;
};

// The value of a key that no field names, but Envoy; `node` is what is compiled with it, and its
// hash depends on the value.  A value that is not of that kind, or not in its range, is a warning
// and counts as none.
uint64_t runtime_uint(const Node& node, std::string_view key, uint64_t fallback,
                      uint64_t max = UINT32_MAX);
double runtime_double(const Node& node, std::string_view key, double fallback);
bool runtime_bool(const Node& node, std::string_view key, bool fallback);
Fraction runtime_fraction(const Node& node, std::string_view key, Fraction fallback);

}  // namespace pillion::config
