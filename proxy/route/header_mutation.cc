#include "proxy/route/header_mutation.h"

#include <algorithm>
#include <array>
#include <utility>

#include "proxy/base/ascii.h"
#include "proxy/base/field_chars.h"
#include "proxy/base/str.h"

namespace pillion::route {
namespace {

using config::EnumRow;
using config::Node;

constexpr EnumRow kActions[] = {{"APPEND_IF_EXISTS_OR_ADD", 0},
                                {"ADD_IF_ABSENT", 1},
                                {"OVERWRITE_IF_EXISTS_OR_ADD", 2},
                                {"OVERWRITE_IF_EXISTS", 3}};

// The codec writes these from what the head says; a second one would be smuggling.
constexpr std::string_view kFraming[] = {
    "connection", "content-length", "keep-alive",        "proxy-connection",
    "te",         "trailer",        "transfer-encoding", "upgrade"};

// The name in lower case; empty after an error.
std::string parse_name(const Node& node) {
  std::string name = lowered(node.as_string());
  if (name.empty()) return name;
  if (name.starts_with(':') || name == "host") {
    node.expected("a header other than Host and those that begin with ':'",
                  "see host_rewrite_literal and prefix_rewrite");
  } else if (!is_token(name)) {
    node.expected("a header name");
  } else if (std::ranges::find(kFraming, name) != std::end(kFraming)) {
    node.error(str("\"", name, "\" belongs to the connection and cannot be changed by a route"));
  } else {
    return name;
  }
  return {};
}

// "%%" is a percent sign, any other one begins an operator.
bool has_operator(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') continue;
    if (i + 1 == text.size() || text[i + 1] != '%') return true;
    ++i;
  }
  return false;
}

std::string unescape_percent(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    if (text[i] == '%') ++i;
  }
  return out;
}

void parse_value(HeaderAddition& addition, const Node& node, const FormatFactory* formats) {
  const std::string_view text = node.as_view_or();
  if (std::ranges::any_of(text, [](char c) { return c == '\r' || c == '\n' || c == '\0'; })) {
    return node.expected("a header value without line breaks");
  }
  if (!has_operator(text)) {
    addition.value = unescape_percent(trim(text));
  } else if (formats != nullptr) {
    addition.format = formats->compile(node);
  } else {
    node.expected("a literal value", "%% is a percent sign");
  }
}

AppendAction parse_action(const Node& option) {
  const Node append = option["append"];  // the older form
  const Node action = option["append_action"];
  if (append.is_present() && action.is_present()) {
    append.error("only one of append and append_action may be given");
  }
  if (append.is_present()) {
    return append.as_bool() ? AppendAction::kAppend : AppendAction::kOverwriteOrAdd;
  }
  return action.as_enum_or(AppendAction::kAppend, kActions);
}

HeaderAddition parse_addition(const Node& option, const FormatFactory* formats) {
  HeaderAddition addition;
  const Node header = option.required("header");
  if (header.is_present()) {
    addition.name = parse_name(header["key"]);
    addition.id = http::find_header_id(addition.name);
    parse_value(addition, header["value"], formats);
    header.unsupported({"raw_value"});
    header.reject_unknown_keys();
  }
  addition.action = parse_action(option);
  addition.keep_empty = option["keep_empty_value"].as_bool_or(false);
  option.reject_unknown_keys();
  return addition;
}

bool is_there(const http::Headers& headers, const HeaderAddition& addition) {
  return addition.id != http::HeaderId::kUnknown ? headers.has(addition.id)
                                                 : headers.find(addition.name) != nullptr;
}

void remove_matching(http::Headers& headers, const match::StringMatcher& matcher) {
  http::Field* const begin = headers.mutable_begin();
  for (http::Field* f = begin; f != headers.end(); ++f) {
    if (f->id != http::HeaderId::kRemoved && matcher.matches(f->name))
      f->id = http::HeaderId::kRemoved;
  }
}

bool overwrites(const HeaderAddition& addition) {
  return addition.action == AppendAction::kOverwriteOrAdd ||
         addition.action == AppendAction::kOverwriteIfExists;
}

void add(http::Headers& headers, const HeaderAddition& a, const void* context) {
  const std::string_view value =
      a.format ? a.format->render(headers.arena(), context) : std::string_view(a.value);
  if (value.empty() && !a.keep_empty) return;
  if (a.action == AppendAction::kAddIfAbsent && is_there(headers, a)) return;
  if (a.action == AppendAction::kOverwriteIfExists && !is_there(headers, a)) return;
  if (overwrites(a)) headers.remove(a.name);
  headers.add(http::Field{a.name, value, a.id});
}

}  // namespace

HeaderMutations::HeaderMutations(const Node& to_add, const Node& to_remove,
                                 const FormatFactory* formats) {
  for (const Node option : to_add.items()) {
    additions_.push_back(parse_addition(option, formats));
  }
  for (const Node name : to_remove.items()) removals_.push_back(parse_name(name));
}

void HeaderMutations::apply(http::Headers& headers, const void* context) const {
  for (const std::string& name : removals_) headers.remove(name);
  if (additions_.empty()) return;
  // Values first: an operator sees the headers as they came to this level.
  auto* values = headers.arena().allocate_array<std::string_view>(additions_.size());
  auto* wanted = headers.arena().allocate_array<bool>(additions_.size());
  for (size_t i = 0; i < additions_.size(); ++i) {
    const HeaderAddition& a = additions_[i];
    values[i] = a.format ? a.format->render(headers.arena(), context) : std::string_view(a.value);
    wanted[i] = !values[i].empty() || a.keep_empty;
    if (a.action == AppendAction::kAddIfAbsent) wanted[i] = wanted[i] && !is_there(headers, a);
    if (a.action == AppendAction::kOverwriteIfExists) wanted[i] = wanted[i] && is_there(headers, a);
  }
  // Overwriting comes before appending, whatever their order in the file (as in Envoy).
  for (const bool overwriting : {true, false}) {
    for (size_t i = 0; i < additions_.size(); ++i) {
      const HeaderAddition& a = additions_[i];
      if (!wanted[i] || overwrites(a) != overwriting) continue;
      if (overwriting) headers.remove(a.name);
      headers.add(http::Field{a.name, values[i], a.id});
    }
  }
}

MutationSequence::MutationSequence(const Node& list, const FormatFactory* formats) {
  for (const Node item : list.items()) {
    item.unsupported({"regex_copy"}, "comes with a later version");
    if (item.has("regex_copy")) continue;
    const Node action = item.one_of({"remove", "append", "remove_on_match"});
    item.reject_unknown_keys();
    Step step;
    if (action.is_scalar()) {
      step.removed = parse_name(action);
    } else if (action.has("key_matcher")) {
      step.removed_on_match = match::parse_string_matcher(action["key_matcher"]);
      action.reject_unknown_keys();
    } else if (action.is_present()) {
      step.addition = parse_addition(action, formats);
    }
    steps_.push_back(std::move(step));
  }
}

void MutationSequence::apply(http::Headers& headers, const void* context) const {
  for (const Step& step : steps_) {
    if (!step.removed.empty()) {
      headers.remove(step.removed);
    } else if (step.removed_on_match) {
      remove_matching(headers, *step.removed_on_match);
    } else {
      add(headers, step.addition, context);
    }
  }
}

std::unique_ptr<const LevelMutations> parse_level_mutations(const Node& node,
                                                            const FormatFactory* formats) {
  LevelMutations level{
      HeaderMutations(node["request_headers_to_add"], node["request_headers_to_remove"], formats),
      HeaderMutations(node["response_headers_to_add"], node["response_headers_to_remove"],
                      formats)};
  if (level.request.empty() && level.response.empty()) return nullptr;
  return std::make_unique<const LevelMutations>(std::move(level));
}

}  // namespace pillion::route
