#pragma once
// HeaderMutations: the headers that one level of a route configuration adds and removes
// (*_headers_to_add, *_headers_to_remove; envoy.config.core.v3.HeaderValueOption), compiled.
//
// Immutable.  Names and literal values are views into this object in the heads they are added to,
// which therefore must not outlive the route table.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/http/headers.h"
#include "proxy/match/string.h"
#include "proxy/route/value_format.h"

namespace pillion::route {

// The numbers of HeaderValueOption.HeaderAppendAction.
enum class AppendAction : uint8_t { kAppend, kAddIfAbsent, kOverwriteOrAdd, kOverwriteIfExists };

// HeaderValueOption.
struct HeaderAddition {
  std::string name;   // lower case
  std::string value;  // a literal, if there is no format
  std::unique_ptr<const ValueFormat> format;
  http::HeaderId id = http::HeaderId::kUnknown;
  AppendAction action = AppendAction::kAppend;
  bool keep_empty = false;  // add it even if the value turns out empty
};

class HeaderMutations {
 public:
  HeaderMutations() = default;
  // Of the fields `to_add` and `to_remove` of `node`; `formats` may be null: literals only.
  HeaderMutations(const config::Node& to_add, const config::Node& to_remove,
                  const FormatFactory* formats);

  [[nodiscard]] bool empty() const noexcept { return additions_.empty() && removals_.empty(); }
  // Removals first, then additions; all values are rendered before the first one is written.
  void apply(http::Headers& headers, const void* context) const;

 private:
  std::vector<HeaderAddition> additions_;
  std::vector<std::string> removals_;  // lower case
};

// A list of envoy.config.common.mutation_rules.v3.HeaderMutation: each takes effect before the next
// one is looked at.
class MutationSequence {
 public:
  MutationSequence() = default;
  MutationSequence(const config::Node& list, const FormatFactory* formats);

  [[nodiscard]] bool empty() const noexcept { return steps_.empty(); }
  void apply(http::Headers& headers, const void* context) const;

 private:
  struct Step {
    std::string removed;                                   // lower case, or
    std::optional<match::StringMatcher> removed_on_match;  // of lower-case names, or
    HeaderAddition addition;
  };
  std::vector<Step> steps_;
};

// What one level does to both directions.
struct LevelMutations {
  HeaderMutations request;
  HeaderMutations response;
};

// request_headers_to_add, request_headers_to_remove, response_headers_to_add and
// response_headers_to_remove of `node`; null if it has none of them.
std::unique_ptr<const LevelMutations> parse_level_mutations(const config::Node& node,
                                                            const FormatFactory* formats);

}  // namespace pillion::route
