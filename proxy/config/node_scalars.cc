// The typed accessors of Node.
#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/config/node.h"
#include "proxy/config/suggest.h"

namespace pillion::config {
namespace {

using std::chrono::nanoseconds;

// "1-65535"; a bound that is the type's own says nothing.
template <typename T>
std::string range_text(T min, T max) {
  constexpr T kLargest = std::numeric_limits<T>::max();
  if (max == kLargest && min > 0) return str(min, " or more");
  return str(min, '-', max);
}

template <typename T>
T checked_number(const Node& node, T fallback, T min, T max) {
  Result<T> parsed = [&node]() -> Result<T> {
    if constexpr (std::is_signed_v<T>) return parse_signed(node.raw());
    if constexpr (!std::is_signed_v<T>) return parse_unsigned(node.raw());
  }();
  if (parsed && *parsed >= min && *parsed <= max) return *parsed;
  // Too large or negative for the type is out of range, not "no number".
  if (parsed || parse_double(node.raw())) {
    node.expected(parsed ? range_text(min, max) : parsed.error() + " of " + range_text(min, max));
  } else {
    node.expected("a whole number of " + range_text(min, max));
  }
  return fallback;
}

std::string_view bool_hint(const Node& node) {
  static constexpr std::array<std::string_view, 5> kYes = {"yes", "on", "y", "1", "t"};
  static constexpr std::array<std::string_view, 5> kNo = {"no", "off", "n", "0", "f"};
  auto is = [&node](std::string_view word) { return equals_ignore_case(node.raw(), word); };
  if (is("true") || is("false")) return "without quotes";
  if (std::any_of(kYes.begin(), kYes.end(), is)) return "did you mean true?";
  if (std::any_of(kNo.begin(), kNo.end(), is)) return "did you mean false?";
  return {};
}

}  // namespace

// Is there a scalar to read?  If not, that is reported where it is an error.
bool Node::wants_scalar(std::string_view what, bool is_required) const {
  if (is_scalar()) return true;
  if (is_present()) {
    expected(what);
  } else if (is_required) {
    error(str("required field is missing (expected ", what, ')'));
  }
  return false;
}

std::string_view Node::as_view_or(std::string_view fallback) const {
  return wants_scalar("a string", false) ? raw() : fallback;
}

std::string Node::as_string() const {
  if (!wants_scalar("a string", true)) return {};
  if (raw().empty()) expected("a string that is not empty");
  return std::string(raw());
}

std::string Node::as_string_or(std::string_view fallback) const {
  return std::string(as_view_or(fallback));
}

Located<std::string> Node::located_string() const { return {as_string(), where()}; }

bool Node::as_bool() const {
  if (is_missing()) error("required field is missing (expected true or false)");
  return as_bool_or(false);
}

bool Node::as_bool_or(bool fallback) const {
  if (!wants_scalar("true or false", false)) return fallback;
  const std::string_view text = raw();
  if (!is_quoted()) {
    if (text == "true" || text == "True" || text == "TRUE") return true;
    if (text == "false" || text == "False" || text == "FALSE") return false;
  }
  expected("true or false", bool_hint(*this));
  return fallback;
}

uint32_t Node::as_u32(uint32_t min, uint32_t max) const {
  if (!wants_scalar("a whole number", true)) return min;
  return static_cast<uint32_t>(checked_number<uint64_t>(*this, min, min, max));
}

uint32_t Node::as_u32_or(uint32_t fallback, uint32_t min, uint32_t max) const {
  if (!wants_scalar("a whole number", false)) return fallback;
  return static_cast<uint32_t>(checked_number<uint64_t>(*this, fallback, min, max));
}

uint64_t Node::as_u64(uint64_t min, uint64_t max) const {
  return wants_scalar("a whole number", true) ? checked_number(*this, min, min, max) : min;
}

uint64_t Node::as_u64_or(uint64_t fallback, uint64_t min, uint64_t max) const {
  return wants_scalar("a whole number", false) ? checked_number(*this, fallback, min, max)
                                               : fallback;
}

int64_t Node::as_i64(int64_t min, int64_t max) const {
  const int64_t fallback = std::clamp<int64_t>(0, min, max);
  return wants_scalar("a whole number", true) ? checked_number(*this, fallback, min, max)
                                              : fallback;
}

int64_t Node::as_i64_or(int64_t fallback, int64_t min, int64_t max) const {
  return wants_scalar("a whole number", false) ? checked_number(*this, fallback, min, max)
                                               : fallback;
}

double Node::as_double() const {
  if (is_missing()) error("required field is missing (expected a number)");
  return as_double_or(0);
}

double Node::as_double_or(double fallback) const {
  if (!wants_scalar("a number", false)) return fallback;
  auto value = parse_double(raw());
  if (!value) expected(value.error());
  return value.value_or(fallback);
}

nanoseconds Node::as_duration() const {
  if (is_missing()) error("required field is missing (expected a duration such as 1.5s)");
  return as_duration_or(nanoseconds(0));
}

nanoseconds Node::as_duration_or(nanoseconds fallback) const {
  if (!wants_scalar("a duration such as 1.5s", false)) return fallback;
  auto value = parse_duration(raw());
  if (!value) expected(value.error());
  constexpr nanoseconds kForEver = std::chrono::hours(10 * 365 * 24);
  return std::min(value.value_or(fallback), kForEver);
}

uint64_t Node::as_size() const {
  if (is_missing()) error("required field is missing (expected a size such as 64KiB)");
  return as_size_or(0);
}

uint64_t Node::as_size_or(uint64_t fallback) const {
  if (!wants_scalar("a size such as 65536, 64KiB or 1MiB", false)) return fallback;
  auto value = parse_size(raw());
  if (!value) expected(value.error());
  return value.value_or(fallback);
}

double Node::as_percent() const {
  if (is_missing()) error("required field is missing (expected a percentage)");
  return as_percent_or(0);
}

double Node::as_percent_or(double fallback) const {
  if (is_mapping()) {
    const double value = (*this)["value"].as_percent_or(0);
    reject_unknown_keys();
    return value;
  }
  if (!wants_scalar("a percentage of 0%-100%", false)) return fallback;
  auto value = parse_percent(raw());
  if (!value) expected(value.error());
  return value.value_or(fallback);
}

Fraction Node::as_fraction() const {
  if (is_missing()) error("required field is missing (expected a percentage)");
  return as_fraction_or({});
}

Fraction Node::as_fraction_or(Fraction fallback) const {
  static constexpr std::array<EnumRow, 3> kDenominators = {
      {{"HUNDRED", 0}, {"TEN_THOUSAND", 1}, {"MILLION", 2}}};
  static constexpr std::array<uint32_t, 3> kValues = {100, 10'000, 1'000'000};
  if (is_mapping()) {
    if (has("default_value") || has("runtime_key")) return runtime_fraction_or(fallback);
    const uint32_t numerator = (*this)["numerator"].as_u32_or(0);
    const int denominator = (*this)["denominator"].as_enum_or(0, kDenominators);
    reject_unknown_keys();
    return {numerator, kValues[static_cast<size_t>(denominator)]};
  }
  if (!wants_scalar("a percentage of 0%-100%", false)) return fallback;
  auto value = parse_fraction(raw());
  if (!value) expected(value.error());
  return value.value_or(fallback);
}

int Node::enum_number(std::span<const EnumRow> rows, const int* fallback) const {
  const int otherwise = fallback != nullptr ? *fallback : rows.front().number;
  if (!wants_scalar("a name", fallback == nullptr)) return otherwise;
  const auto number = is_quoted() ? Result<int64_t>(Error{"a name"}) : parse_signed(raw());
  std::vector<std::string_view> names;
  std::string list;
  for (const EnumRow& row : rows) {
    if (row.name == raw() || (number && *number == row.number)) {
      if (row.unsupported.empty()) return row.number;
      error(str(row.name, " is known to Envoy v3 but not supported by Pillion yet (",
                row.unsupported, ')'));
      return otherwise;
    }
    names.push_back(row.name);
    if (row.unsupported.empty()) list += (list.empty() ? "" : ", ") + std::string(row.name);
  }
  const std::string_view near = closest(raw(), names);
  expected((names.size() > 1 ? "one of " : "") + list,
           near.empty() ? std::string() : str("did you mean ", near, '?'));
  return otherwise;
}

TypedConfig Node::typed_config() const {
  auto after_slash = [](std::string_view url) { return url.substr(url.rfind('/') + 1); };
  if (is_missing()) {
    error("required field is missing (expected a mapping with @type)");
    return {{}, *this};
  }
  const Node url = (*this)["@type"];
  if (url.is_missing()) {
    if (is_mapping()) error("expected @type, the type URL of the message");
    return {{}, *this};
  }
  const std::string_view type = after_slash(url.as_view_or());
  if (type != "udpa.type.v1.TypedStruct" && type != "xds.type.v3.TypedStruct") return {type, *this};
  const Node inner = required("type_url");
  const Node value = (*this)["value"];
  reject_unknown_keys();
  return {after_slash(inner.as_view_or()), value};
}

}  // namespace pillion::config
