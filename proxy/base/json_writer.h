#pragma once
// JsonWriter: writes a JSON document piece by piece to the end of a string (admin pages, stats).
//
//   JsonWriter json(out);
//   json.begin_object();
//   json.field("name", listener.name);
//   json.key("addresses").begin_array();
//   ...
//   json.end_array();
//   json.end_object();
//
// Strings of any origin may be given: they are escaped, and bytes that are no UTF-8 become U+FFFD.
// Calls that would make no valid document are a bug of the caller and abort in debug builds.  `out`
// outlives the writer; it may be taken away and emptied between two calls.  Off the data path.

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace pillion {

class JsonWriter {
 public:
  // kPretty: one value a line, one space per level, as Envoy's admin pages.
  enum class Style : uint8_t { kCompact, kPretty };
  explicit JsonWriter(std::string& out, Style style = Style::kPretty) : out_(out), style_(style) {}

  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  // The name of the next value; only within an object.
  JsonWriter& key(std::string_view name);

  template <typename T>
  JsonWriter& value(const T& v) {
    if constexpr (std::is_same_v<T, bool>) {
      return raw(v ? "true" : "false");
    } else if constexpr (std::is_floating_point_v<T>) {
      return number(v);
    } else if constexpr (std::is_unsigned_v<T>) {
      return number(static_cast<uint64_t>(v));
    } else if constexpr (std::is_integral_v<T>) {
      return number(static_cast<int64_t>(v));
    } else {
      return string(v);
    }
  }
  // A number as a string: proto3's JSON form of 64-bit integers.
  JsonWriter& value_as_string(uint64_t v);
  JsonWriter& null() { return raw("null"); }
  // A value that is already JSON.
  JsonWriter& raw(std::string_view json);

  template <typename T>
  JsonWriter& field(std::string_view name, const T& v) {
    return key(name).value(v);
  }

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  JsonWriter& string(std::string_view text);
  JsonWriter& number(uint64_t v);
  JsonWriter& number(int64_t v);
  JsonWriter& number(double v);  // NaN and infinities, which JSON lacks, are null
  void before_value();
  void new_line();

  struct Level {
    bool is_object;
    bool is_empty = true;
  };
  std::string& out_;
  Style style_;
  bool after_key_ = false;
  std::vector<Level> levels_;
};

// `text` as a JSON string, with its quotes.
void append_json_string(std::string& out, std::string_view text);

}  // namespace pillion
