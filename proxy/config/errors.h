#pragma once
// Everything that is wrong with one configuration, collected so that one run reports all of it.
//
// An Errors is made by whoever loads a configuration (check, run, reload, the xDS client), handed
// by pointer to the Nodes of one or more Documents, and read when parsing is over.  It must outlive
// those Nodes.  Not thread-safe: one parse, one thread.
//
// Messages read like a compiler's, sorted by source and line:
//   mesh.yaml:12:15: inbound.listen: expected a port of 1-65535, got 70000
//   lds/inbound: filter_chains[1].filters[0].name: ...            (a resource has no lines)

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pillion::config {

struct Value;
class Runtime;
struct RuntimeValue;

// A position in the text, counted from 1; line 0 means that the source has no lines.
struct Mark {
  uint32_t line = 0;
  uint32_t column = 0;
};

// Where something was written.
struct Where {
  std::string source;  // file name as the user gave it, or a resource such as "lds/inbound"
  Mark mark;
  std::string path;  // "services.orders.hosts[1]"; empty for a whole source

  // "mesh.yaml:12:15" or "lds/inbound".
  [[nodiscard]] std::string place() const;
};

// A value that refers to another object by name: if the object does not exist, the error belongs to
// the place where the name was written.  Made by Node::located_string().
template <typename T>
struct Located {
  T value{};
  Where where{};
};

enum class Severity : uint8_t { kError, kWarning };

struct Problem {
  Where where;
  std::string text;
  Severity severity = Severity::kError;

  // "place: path: text"; a warning says so before its text.
  [[nodiscard]] std::string to_string() const;
};

// What a field is that no parser asked for, or that Pillion lacks: an error in files; a warning
// with
// --allow-unknown-static-fields; from xDS it is only counted by its name, as each push would say
// the same again, and a newer control plane must not be refused.  kCountAnyName: in files that
// stand for a control plane too (Errors::refuse_unknown_names()).
enum class UnknownFields : uint8_t { kError, kWarn, kCount, kCountAnyName };

// Of the occurrences of one unknown field.
struct UnknownField {
  uint64_t count = 0;
  std::string example;  // the place and path of one
};
// By name: that of the message and field ("envoy.config.cluster.v3.Cluster.lb_subset_config"), or
// the path without the indices of lists where only a parser tells ("clusters.hosts").
using UnknownFieldMap = std::map<std::string, UnknownField, std::less<>>;

// Adds what occurred; at most Errors::kMaxProblems names, as they come from outside.
void add_unknown_fields(UnknownFieldMap& to, const UnknownFieldMap& more);

// What a file is that the configuration names and that cannot be read: a warning only for who wants
// to know what the configuration says and will not run it (`pillion explain`).
enum class UnreadableFiles : uint8_t { kError, kWarn };

class Errors {
 public:
  // Of each severity; what comes later is only counted.
  static constexpr size_t kMaxProblems = 1000;

  explicit Errors(UnknownFields unknown = UnknownFields::kError,
                  UnreadableFiles unreadable = UnreadableFiles::kError)
      : unknown_(unknown), unreadable_(unreadable) {}
  Errors(const Errors&) = delete;
  Errors& operator=(const Errors&) = delete;

  void error(Where where, std::string text);
  void warn(Where where, std::string text);
  // One that is tolerated: counted under its name, and a warning if they are warnings.
  void unknown_field(Where where, std::string_view name, std::string text);

  // What is parsed from now on was written by hand (a file that stands for a control plane): where
  // fields are only counted, that goes for those that Pillion lacks.  A name that no message has is
  // a slip, and an error: it might have been to close something.
  void refuse_unknown_names() { refuses_unknown_names_ = unknown_ == UnknownFields::kCount; }

  // From now on guesses stand for what was wrong so far: what is found at, above or below the path
  // of an earlier error would only follow from it, and is dropped.
  void drop_what_follows() { settled_ = problems_.size(); }

  [[nodiscard]] bool ok() const { return error_count_ == 0; }
  [[nodiscard]] size_t error_count() const { return error_count_; }
  [[nodiscard]] size_t warning_count() const { return warning_count_; }
  [[nodiscard]] UnknownFields unknown_fields_policy() const { return unknown_; }
  [[nodiscard]] bool refuses_unknown_names() const {
    return refuses_unknown_names_ || unknown_ == UnknownFields::kError;
  }
  [[nodiscard]] UnreadableFiles unreadable_files_policy() const { return unreadable_; }
  // Those that were tolerated.
  [[nodiscard]] const UnknownFieldMap& unknown_fields() const { return unknown_fields_; }

  // A file that the configuration names was read (or could not be: contents 0).  `name` is the
  // value that names it; `contents` a hash of them, which counts as a part of that value
  // (value_hash.h).
  void note_file(const Value& name, std::string path, uint64_t contents);
  [[nodiscard]] const std::set<std::string>& files() const { return files_; }
  // Of a value whose meaning depends on a file or on the runtime; 0 for others.
  [[nodiscard]] uint64_t contents_of(const Value& name) const;
  [[nodiscard]] bool has_contents() const { return !contents_.empty(); }

  // What parsers find keys of the runtime in (runtime.h); without it, in nothing.  It outlives
  // them.
  void use(const Runtime& runtime) { runtime_ = &runtime; }
  [[nodiscard]] const Runtime* runtime() const { return runtime_; }
  // The value of a key, or null; `where` is what depends on it.
  const RuntimeValue* runtime_value(const Value& where, std::string_view key);
  // The keys that were asked for, whether they have a value or not.
  [[nodiscard]] const std::set<std::string, std::less<>>& runtime_keys() const {
    return runtime_keys_;
  }
  // Those since the last call, sorted.
  std::vector<std::string> take_runtime_keys();
  void count_unusable_runtime_value() { ++unusable_runtime_values_; }
  [[nodiscard]] uint64_t unusable_runtime_values() const { return unusable_runtime_values_; }

  // For tests of parsers: the mappings of which fields were read and that no reject_unknown_keys()
  // closed, so that a misspelt field in them would be ignored in silence.  The documents must live.
  [[nodiscard]] std::vector<Where> unfinished() const;
  // For tests of parsers: a mapping that reject_unknown_keys() closed, so that each of its fields
  // was read, or reported.
  [[nodiscard]] bool is_closed(const Value& mapping) const;

  // By source (in order of first appearance), line, column; without repetitions.
  [[nodiscard]] std::vector<Problem> sorted(Severity severity = Severity::kError) const;
  // One problem a line, each line ended by '\n'; the last says "and N more" when the cap was hit.
  [[nodiscard]] std::string to_string(Severity severity = Severity::kError) const;

 private:
  friend class Node;
  using Names = std::vector<std::string_view>;

  void add(Severity severity, Where where, std::string text);
  [[nodiscard]] bool follows(const Where& where) const;

  UnknownFields unknown_;
  bool refuses_unknown_names_ = false;
  UnreadableFiles unreadable_;
  std::vector<Problem> problems_;
  size_t settled_ = 0;  // so many problems were there at drop_what_follows()
  size_t error_count_ = 0;
  size_t warning_count_ = 0;
  UnknownFieldMap unknown_fields_;
  std::set<std::string> files_;
  std::unordered_map<const Value*, uint64_t> contents_;
  const Runtime* runtime_ = nullptr;
  std::set<std::string, std::less<>> runtime_keys_;
  uint64_t unusable_runtime_values_ = 0;
  // The keys that parsers have asked each mapping for since its last reject_unknown_keys().
  std::unordered_map<const Value*, Names> asked_;
};

}  // namespace pillion::config
