#include "proxy/core/metadata_matcher.h"

#include <algorithm>

namespace pillion::core {

using config::Node;
using config::Unknown;

bool ValueMatcher::matches(const MetadataValue* value) const noexcept {
  if (value == nullptr) return false;
  using Is = MetadataValue::Kind;
  switch (kind_) {
    case Kind::kNull:
      return value->kind == Is::kNull;
    case Kind::kExact:
      return value->kind == Is::kNumber && value->number == begin_;
    case Kind::kRange:
      return value->kind == Is::kNumber && value->number >= begin_ && value->number < end_;
    case Kind::kString:
      return value->kind == Is::kString && string_.matches(value->text);
    case Kind::kBool:
      return value->kind == Is::kBool && value->boolean == boolean_;
    case Kind::kPresent:
      return boolean_;  // `false` matches nothing, as in Envoy
    case Kind::kOr:
      return std::ranges::any_of(parts_, [value](const auto& m) { return m.matches(value); });
    case Kind::kList:
      break;
  }
  if (value->kind != Is::kList) return false;
  for (const MetadataMember* m = value->first; m != nullptr; m = m->next) {
    if (parts_.front().matches(&m->value)) return true;
  }
  return false;
}

ValueMatcher parse_value_matcher(const Node& node) {
  ValueMatcher out;
  const Node how = node.one_of({"null_match", "double_match", "string_match", "bool_match",
                                "present_match", "list_match", "or_match"});
  const std::string_view key = how.is_present() ? how.key() : std::string_view{};
  if (key.starts_with("null")) {
    out.kind_ = ValueMatcher::Kind::kNull;
    how.reject_unknown_keys(Unknown::kAlwaysError);
  } else if (key.starts_with("double")) {
    const Node number = how.one_of({"range", "exact"});
    const bool is_range = number.is_present() && number.key() == "range";
    out.kind_ = is_range ? ValueMatcher::Kind::kRange : ValueMatcher::Kind::kExact;
    if (is_range) {
      out.begin_ = number["start"].as_double_or(0);
      out.end_ = number["end"].as_double_or(0);
      number.reject_unknown_keys(Unknown::kAlwaysError);
    } else {
      out.begin_ = number.as_double_or(0);
    }
    how.reject_unknown_keys(Unknown::kAlwaysError);
  } else if (key.starts_with("string")) {
    out.kind_ = ValueMatcher::Kind::kString;
    out.string_ = match::parse_string_matcher(how);
  } else if (key.starts_with("bool") || key.starts_with("present")) {
    out.kind_ = key.starts_with("bool") ? ValueMatcher::Kind::kBool : ValueMatcher::Kind::kPresent;
    out.boolean_ = how.as_bool();
  } else if (key.starts_with("list")) {
    out.kind_ = ValueMatcher::Kind::kList;
    out.parts_.push_back(parse_value_matcher(how.required("one_of")));
    how.reject_unknown_keys(Unknown::kAlwaysError);
  } else if (key.starts_with("or")) {
    const Node list = how.required("value_matchers");
    for (const Node item : list.items()) out.parts_.push_back(parse_value_matcher(item));
    if (list.is_sequence() && list.size() < 2) list.error("expected at least two matchers");
    how.reject_unknown_keys(Unknown::kAlwaysError);
  }
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return out;
}

MetadataMatcher parse_metadata_matcher(const Node& node) {
  MetadataMatcher out;
  out.space_ = node["filter"].as_string();
  const Node path = node.required("path");
  for (const Node segment : path.items()) {
    out.path_.push_back(segment["key"].as_string());
    segment.reject_unknown_keys(Unknown::kAlwaysError);
  }
  if (path.is_sequence() && path.size() == 0) path.error("expected at least one key");
  out.value_ = parse_value_matcher(node.required("value"));
  out.invert_ = node["invert"].as_bool_or(false);
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return out;
}

}  // namespace pillion::core
