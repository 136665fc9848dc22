#include "proxy/match/header_value.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"

namespace pillion::match {
namespace {

// A decimal number and nothing else (Envoy's range_match).
bool parse_whole(std::string_view text, int64_t& number) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  return error == std::errc{} && at == end;
}

// The forms before string_match; each is one of its kinds.
StringMatcher::Kind deprecated_kind(std::string_view key) {
  using Kind = StringMatcher::Kind;
  if (key.starts_with("exact")) return Kind::kExact;
  if (key.starts_with("prefix")) return Kind::kPrefix;
  if (key.starts_with("suffix")) return Kind::kSuffix;
  return Kind::kContains;
}

// About the connection to a neighbour; the codec takes them out and they are never seen again.
constexpr std::string_view kHopByHop[] = {"connection", "keep-alive", "proxy-connection"};

}  // namespace

HeaderMatcher::Pseudo HeaderMatcher::find_pseudo(std::string_view name) noexcept {
  struct Row {
    std::string_view name;
    Pseudo pseudo;
  };
  constexpr Row kRows[] = {
      {":method", Pseudo::kMethod},
      {":path", Pseudo::kPath},
      {":authority", Pseudo::kAuthority},
      {"host", Pseudo::kAuthority},
      {":scheme", Pseudo::kScheme},
      {":status", Pseudo::kStatus},
      {"content-length", Pseudo::kContentLength},
      {"transfer-encoding", Pseudo::kTransferEncoding},
      {"upgrade", Pseudo::kUpgrade},
      {"te", Pseudo::kTe},
      {"expect", Pseudo::kExpect},
  };
  const auto* row = std::ranges::find(kRows, name, &Row::name);
  return row != std::end(kRows) ? row->pseudo : Pseudo::kNone;
}

bool HeaderMatcher::value_matches(std::string_view value) const noexcept {
  switch (kind_) {
    case Kind::kString:
      return string_.matches(value);
    case Kind::kRange: {
      int64_t number = 0;
      return parse_whole(value, number) && number >= range_begin_ && number < range_end_;
    }
    case Kind::kPresent:
      return true;
  }
  return false;
}

bool HeaderMatcher::verdict(Tally tally) const noexcept {
  if (!tally.present && missing_is_empty_) {
    tally.present = true;
    tally.matched = value_matches({});
  }
  if (kind_ == Kind::kPresent) return (tally.present == want_present_) != invert_;
  return tally.present && tally.matched != invert_;
}

std::string HeaderMatcher::describe() const {
  std::string what;
  switch (kind_) {
    case Kind::kString:
      what = string_.describe();
      break;
    case Kind::kRange:
      what = str("in [", range_begin_, ", ", range_end_, ")");
      break;
    case Kind::kPresent:
      what = want_present_ ? "present" : "absent";
      break;
  }
  return str("header ", name_, invert_ ? " not " : " ", what);
}

HeaderMatcher parse_header_matcher(const config::Node& node) {
  HeaderMatcher m;
  m.name_ = lowered(node["name"].as_string());
  m.pseudo_ = HeaderMatcher::find_pseudo(m.name_);
  if (m.name_.starts_with(':') && m.pseudo_ == HeaderMatcher::Pseudo::kNone) {
    node["name"].expected(":method, :path, :authority, :scheme or :status");
  } else if (std::ranges::find(kHopByHop, m.name_) != std::end(kHopByHop)) {
    node["name"].error(str("\"", m.name_, "\" belongs to the connection and cannot be matched"));
  }
  m.invert_ = node["invert_match"].as_bool_or(false);
  m.missing_is_empty_ = node["treat_missing_header_as_empty"].as_bool_or(false);
  const config::Node how =
      node.one_of({"string_match", "range_match", "present_match", "exact_match", "prefix_match",
                   "suffix_match", "contains_match", "safe_regex_match"},
                  config::Need::kAtMostOne);
  const std::string_view key = how.is_present() ? how.key() : std::string_view{};
  if (key.starts_with("string")) {
    m.kind_ = HeaderMatcher::Kind::kString;
    m.string_ = parse_string_matcher(how);
  } else if (key.starts_with("range")) {
    m.kind_ = HeaderMatcher::Kind::kRange;
    m.range_begin_ = how["start"].as_i64_or(0);
    m.range_end_ = how["end"].as_i64_or(0);
    how.reject_unknown_keys(config::Unknown::kAlwaysError);
  } else if (key.starts_with("safe")) {
    m.kind_ = HeaderMatcher::Kind::kString;
    m.string_ = StringMatcher(parse_regex(how));
  } else if (key.starts_with("present")) {
    m.want_present_ = how.as_bool();
  } else if (how.is_present()) {
    m.kind_ = HeaderMatcher::Kind::kString;
    // An empty prefix would match everything; only the exact text may be empty.
    const bool may_be_empty = key.starts_with("exact");
    m.string_ =
        StringMatcher(deprecated_kind(key), may_be_empty ? how.as_string_or("") : how.as_string());
  }
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  return m;
}

}  // namespace pillion::match
