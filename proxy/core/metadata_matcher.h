#pragma once
// MetadataMatcher: envoy.type.matcher.v3.MetadataMatcher, compiled; for policies and access logs.
// Immutable; nothing is allocated while matching.

#include <memory>
#include <string>
#include <vector>

#include "proxy/config/node.h"
#include "proxy/core/metadata.h"
#include "proxy/match/string.h"

namespace pillion::core {

// envoy.type.matcher.v3.ValueMatcher.  A value that is not there matches nothing, null neither.
class ValueMatcher {
 public:
  enum class Kind : uint8_t { kNull, kExact, kRange, kString, kBool, kPresent, kList, kOr };

  [[nodiscard]] bool matches(const MetadataValue* value) const noexcept;

 private:
  friend ValueMatcher parse_value_matcher(const config::Node& node);
  Kind kind_ = Kind::kOr;  // of nothing: matches nothing
  bool boolean_ = false;   // of kBool and kPresent
  double begin_ = 0;       // [begin, end) of kRange; of kExact the number
  double end_ = 0;
  match::StringMatcher string_;
  std::vector<ValueMatcher> parts_;  // of kOr; the one of kList, which one item has to match
};
// Closes the mapping; unknown fields are errors always.
ValueMatcher parse_value_matcher(const config::Node& node);

class MetadataMatcher {
 public:
  [[nodiscard]] bool matches(const Metadata& metadata) const noexcept {
    return value_.matches(metadata.find(space_, path_)) != invert_;
  }

 private:
  friend MetadataMatcher parse_metadata_matcher(const config::Node& node);
  std::string space_;  // `filter`
  std::vector<std::string> path_;
  ValueMatcher value_;
  bool invert_ = false;
};
MetadataMatcher parse_metadata_matcher(const config::Node& node);

}  // namespace pillion::core
