#pragma once
// A value of a configuration together with its path and place: the one interface that every
// feature's parser reads, whether the text was short mesh YAML, an Envoy bootstrap file or an xDS
// resource.
//
// A Node is four words, copied freely; it borrows its Document and its Errors.  Accessors never
// throw and never fail: they record what is wrong and return a usable default, so that one run
// reports all errors.  The rules of proto3's JSON mapping hold: snake_case and camelCase names,
// 64-bit numbers as strings, "1.5s" durations, enums by name or number, null means absent.
//
//   ClusterConfig parse_cluster(config::Node node) {
//     ClusterConfig c;
//     c.name = node["name"].as_string();                                  // required
//     c.connect_timeout = node["connect_timeout"].as_duration_or(5s);     // optional
//     for (Node address : node["addresses"].items()) c.addresses.push_back(parse_address(address));
//     node.unsupported({"lb_subset_config"});
//     node.reject_unknown_keys();                                         // always the last line
//     return c;
//   }
//
// Asking for a key marks it as known; reject_unknown_keys() reports the rest.  Key names passed in
// must be literals (they are kept by pointer until then).

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "proxy/config/document.h"
#include "proxy/config/errors.h"
#include "proxy/config/scalars.h"

namespace pillion::config {

class Items;
class Entries;
struct TypedConfig;

// A row of an enum's table: `number` is the one of the .proto file and of the C++ enumerator.  A
// name that Envoy knows and we refuse carries the reason.
struct EnumRow {
  std::string_view name;
  int number;
  std::string_view unsupported = {};
};

enum class Need : uint8_t { kExactlyOne, kAtMostOne };
enum class Unknown : uint8_t { kAsConfigured, kAlwaysError };

class Node {
 public:
  // An absent value without a place: reads as missing, and errors on it go nowhere.
  Node() = default;
  Node(const Value* value, Errors* errors) : value_(value), errors_(errors) {}

  // --- What it is -------------------------------------------------------------------------------
  // Absent, or null in the text (which proto3 JSON treats alike).
  [[nodiscard]] bool is_missing() const { return is_absent() || value_->kind == Kind::kNull; }
  [[nodiscard]] bool is_present() const { return !is_missing(); }
  explicit operator bool() const { return is_present(); }
  [[nodiscard]] bool is_scalar() const { return kind() == Kind::kScalar; }
  [[nodiscard]] bool is_sequence() const { return kind() == Kind::kSequence; }
  [[nodiscard]] bool is_mapping() const { return kind() == Kind::kMapping; }
  [[nodiscard]] Kind kind() const { return is_absent() ? Kind::kNull : value_->kind; }
  // Was a scalar quoted?  "8080" is still a legal number, but "yes" is then meant as text.
  [[nodiscard]] bool is_quoted() const { return is_scalar() && value_->is_quoted; }
  // The key under which it stands in its mapping; empty in a list.
  [[nodiscard]] std::string_view key() const;
  // Number of items or entries.
  [[nodiscard]] size_t size() const;

  // --- Where it is ------------------------------------------------------------------------------
  // A missing value has the place of its parent and a path of its own.
  [[nodiscard]] Where where() const;
  // The same, for its key (where an unknown field is reported).
  [[nodiscard]] Where key_where() const;
  [[nodiscard]] std::string path() const;
  // The text of a scalar as written, "" for anything else; records nothing.
  [[nodiscard]] std::string_view raw() const { return is_absent() ? "" : value_->scalar(); }
  [[nodiscard]] const Value* value() const { return is_absent() ? nullptr : value_; }
  [[nodiscard]] Errors* errors() const { return errors_; }

  // --- Mappings ---------------------------------------------------------------------------------
  // The field, or a missing node.  Not a mapping: an error, once, and a missing node.
  [[nodiscard]] Node operator[](std::string_view key) const;
  // Like [], and records an error if it is missing.
  [[nodiscard]] Node required(std::string_view key) const;
  // Is it present and not null?  Marks it as known.
  [[nodiscard]] bool has(std::string_view key) const;
  // The member of a oneof that is present (see its key()), or a missing node.
  [[nodiscard]] Node one_of(std::initializer_list<std::string_view> keys,
                            Need need = Need::kExactlyOne) const;
  // Key and value of each entry: for maps whose keys are the user's.  Marks them all as known.
  [[nodiscard]] Entries entries() const;
  // Refuses fields that Envoy v3 has and Pillion lacks; `reason` may say what to use instead.  Each
  // has its mark in xds/proto: kAsConfigured is `ignore`, kAlwaysError is `refuse` (xds/README.md).
  // Follows the policy for unknown fields, as reject_unknown_keys() does.
  void unsupported(std::initializer_list<std::string_view> keys, std::string_view reason = {},
                   Unknown unknown = Unknown::kAsConfigured) const;
  // Fields that are legal and without effect here; say why in a comment at the call.
  void ignore(std::initializer_list<std::string_view> keys) const;
  // This part is legal and without effect here: from xDS it is counted as an unknown field is,
  // under `name`; in a file it is a warning.
  void leave_out(std::string_view name, std::string text) const;
  // Reports each key that nobody asked for.  kAlwaysError where skipping a field would weaken
  // security (matchers, RBAC, JWT, TLS), whatever the policy for unknown fields is.
  void reject_unknown_keys(Unknown unknown = Unknown::kAsConfigured) const;

  // --- Sequences --------------------------------------------------------------------------------
  // The items; none if missing.  Not a list: an error, once, and no items.
  [[nodiscard]] Items items() const;

  // --- Scalars ----------------------------------------------------------------------------------
  // as_x(): missing is an error.  as_x_or(d): missing is d.  Of the wrong kind: an error, and d or
  // 0. A required string must not be empty; use as_string_or("") where it may be.
  [[nodiscard]] std::string as_string() const;
  [[nodiscard]] std::string as_string_or(std::string_view fallback) const;
  // Borrowed from the Document; "" if missing.
  [[nodiscard]] std::string_view as_view_or(std::string_view fallback = {}) const;
  [[nodiscard]] Located<std::string> located_string() const;
  [[nodiscard]] bool as_bool() const;
  [[nodiscard]] bool as_bool_or(bool fallback) const;
  [[nodiscard]] uint32_t as_u32(uint32_t min = 0, uint32_t max = UINT32_MAX) const;
  [[nodiscard]] uint32_t as_u32_or(uint32_t fallback, uint32_t min = 0,
                                   uint32_t max = UINT32_MAX) const;
  [[nodiscard]] uint64_t as_u64(uint64_t min = 0, uint64_t max = UINT64_MAX) const;
  [[nodiscard]] uint64_t as_u64_or(uint64_t fallback, uint64_t min = 0,
                                   uint64_t max = UINT64_MAX) const;
  [[nodiscard]] int64_t as_i64(int64_t min = INT64_MIN, int64_t max = INT64_MAX) const;
  [[nodiscard]] int64_t as_i64_or(int64_t fallback, int64_t min = INT64_MIN,
                                  int64_t max = INT64_MAX) const;
  [[nodiscard]] double as_double() const;
  [[nodiscard]] double as_double_or(double fallback) const;
  // "1.5s" as in Envoy, also 500ms, 2m, 1h; never negative, and at most ten years, which are as
  // good as for ever: so that ten times it, and any moment plus that, can be told.
  [[nodiscard]] std::chrono::nanoseconds as_duration() const;
  [[nodiscard]] std::chrono::nanoseconds as_duration_or(std::chrono::nanoseconds fallback) const;
  // Bytes: 65536, "64KiB", "1MiB".
  [[nodiscard]] uint64_t as_size() const;
  [[nodiscard]] uint64_t as_size_or(uint64_t fallback) const;
  // 0-100: `{ value: 20 }` (envoy.type.v3.Percent), 20 or "20%".
  [[nodiscard]] double as_percent() const;
  [[nodiscard]] double as_percent_or(double fallback) const;
  // `{ numerator: 1, denominator: TEN_THOUSAND }`, "0.01%", or a RuntimeFractionalPercent.
  [[nodiscard]] Fraction as_fraction() const;
  [[nodiscard]] Fraction as_fraction_or(Fraction fallback) const;
  // By name or number.  An unknown name gets a "did you mean".
  template <typename E>
  [[nodiscard]] E as_enum(std::span<const EnumRow> rows) const {
    return static_cast<E>(enum_number(rows, nullptr));
  }
  template <typename E>
  [[nodiscard]] E as_enum_or(E fallback, std::span<const EnumRow> rows) const {
    int number = static_cast<int>(fallback);
    return static_cast<E>(enum_number(rows, &number));
  }
  // google.protobuf.Any: the message's name ("envoy.extensions...v3.Router") and its fields; looks
  // through TypedStruct.  Missing or without @type: an error, and an empty name.
  [[nodiscard]] TypedConfig typed_config() const;
  // RuntimeUInt32, RuntimeDouble, RuntimeFeatureFlag, RuntimeFractionalPercent: what the runtime
  // has under `runtime_key` (runtime.h), else `default_value`.
  [[nodiscard]] uint32_t as_runtime_u32_or(uint32_t fallback) const;
  [[nodiscard]] double as_runtime_double_or(double fallback) const;
  [[nodiscard]] bool as_runtime_bool_or(bool fallback) const;
  // The short forms of as_fraction_or(), too.  A mapping needs default_value, as in Envoy: of an
  // empty one as_fraction_or() makes 0 %, which is a guard that is off.
  [[nodiscard]] Fraction as_runtime_fraction_or(Fraction fallback) const;

  // --- Errors -----------------------------------------------------------------------------------
  void error(std::string text) const;
  void warn(std::string text) const;
  // "expected WHAT, got VALUE"; `hint` is appended in parentheses.
  void expected(std::string_view what, std::string_view hint = {}) const;
  // "unknown WHAT "VALUE" (did you mean "X"?)", for names looked up in a list.
  void unknown_name(std::string_view what, std::span<const std::string_view> candidates) const;

 private:
  // A missing field: `value_` is then the nearest ancestor that exists.
  static Node missing(const Value* parent, std::string_view key, Errors* errors);

  [[nodiscard]] bool is_absent() const { return value_ == nullptr || !missing_key_.empty(); }
  [[nodiscard]] bool wants_scalar(std::string_view what, bool is_required) const;
  [[nodiscard]] Fraction runtime_fraction_or(Fraction fallback) const;
  [[nodiscard]] Node find(std::string_view key) const;
  void mark_known(std::string_view key) const;
  [[nodiscard]] int enum_number(std::span<const EnumRow> rows, const int* fallback) const;
  // A warning or a count of a field (its key) if it is tolerated, else an error.
  static void report_field(const Node& field, std::string text, bool is_tolerated);
  void expected_kind(std::string_view what) const;

  const Value* value_ = nullptr;
  Errors* errors_ = nullptr;
  std::string_view missing_key_;
};

struct TypedConfig {
  std::string_view type;  // without "type.googleapis.com/"
  Node node;
};

struct Entry {
  std::string_view key;
  Node node;
};

// Ranges over the children of a Node.
template <typename T>
class Children {
 public:
  class Iterator {
   public:
    Iterator(const Value* value, Errors* errors) : value_(value), errors_(errors) {}
    T operator*() const;
    Iterator& operator++() { return value_ = value_->next, *this; }
    bool operator==(const Iterator& other) const { return value_ == other.value_; }

   private:
    const Value* value_;
    Errors* errors_;
  };
  Children(const Value* first, size_t size, Errors* errors)
      : first_(first), size_(size), errors_(errors) {}
  [[nodiscard]] Iterator begin() const { return {first_, errors_}; }
  [[nodiscard]] Iterator end() const { return {nullptr, errors_}; }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

 private:
  const Value* first_;
  size_t size_;
  Errors* errors_;
};
template <>
inline Node Children<Node>::Iterator::operator*() const {
  return {value_, errors_};
}
template <>
inline Entry Children<Entry>::Iterator::operator*() const {
  return {value_->key->text, Node(value_, errors_)};
}
class Items : public Children<Node> {
 public:
  using Children::Children;
};
class Entries : public Children<Entry> {
 public:
  using Children::Children;
};

}  // namespace pillion::config
