#include "proxy/telemetry/json_format.h"

#include <algorithm>
#include <charconv>

#include "proxy/base/json_writer.h"
#include "proxy/base/str.h"
#include "proxy/config/scalars.h"

namespace pillion::telemetry {
namespace {

bool needs_no_escape(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; });
}

void append_string(std::string& out, std::string_view text) {
  if (!needs_no_escape(text)) return append_json_string(out, text);
  out += '"';
  out += text;
  out += '"';
}

void append_value(std::string& out, const Value& value, std::optional<uint32_t> max_length) {
  if (value.kind() == Value::Kind::kJson && !max_length) {
    out += value.text();
    return;
  }
  if (value.kind() != Value::Kind::kNumber)
    return append_string(out, truncated(value.text(), max_length));
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value.number()).ptr;
  out.append(digits, static_cast<size_t>(end - digits));
}

}  // namespace

JsonFormat JsonFormat::parse(const config::Node& node, const Options& options) {
  JsonFormat format;
  format.omit_empty_values_ = options.omit_empty_values;
  if (!node.is_mapping()) {
    node.expected("a mapping of names to values");
  } else {
    format.root_ = format.parse_item(node, options);
  }
  return format;
}

JsonFormat::Item JsonFormat::parse_item(const config::Node& node, const Options& options) const {
  Item item;
  if (node.is_mapping() || node.is_sequence()) {
    item.kind = node.is_mapping() ? Item::Kind::kObject : Item::Kind::kArray;
    parse_members(node, options, item);
    return item;
  }
  if (node.is_scalar()) return parse_scalar(node, options);
  item.constant = "null";
  return item;
}

void JsonFormat::parse_members(const config::Node& node, const Options& options, Item& item) const {
  if (node.is_sequence()) {
    for (const config::Node child : node.items()) {
      item.members.push_back({"", std::make_unique<Item>(parse_item(child, options))});
    }
    return;
  }
  for (const auto& [key, child] : node.entries()) {
    std::string name;
    append_json_string(name, key);
    item.members.push_back({name + ":", std::make_unique<Item>(parse_item(child, options))});
  }
  if (!options.sort_properties) return;
  std::stable_sort(item.members.begin(), item.members.end(),
                   [](const Member& a, const Member& b) { return a.key < b.key; });
}

JsonFormat::Item JsonFormat::parse_scalar(const config::Node& node, const Options& options) {
  Item item;
  const std::string_view text = node.raw();
  if (!node.is_quoted() && (text == "true" || text == "false")) {
    item.constant = text;
    return item;
  }
  if (const auto number = config::parse_double(text); !node.is_quoted() && number) {
    append_to(item.constant, *number);
    return item;
  }
  Result<Format> format = Format::compile(text, {Escape::kNone, options.omit_empty_values});
  if (!format) {
    node.error(format.error());
    return item;
  }
  if (format->is_literal()) {
    append_json_string(item.constant, format->literal());
    return item;
  }
  item.kind = format->only_operation() != nullptr ? Item::Kind::kValue : Item::Kind::kText;
  item.format = std::move(*format);
  return item;
}

void JsonFormat::append(std::string& out, const core::StreamInfo& info) const {
  append_item(out, root_, info, omit_empty_values_);
  out += '\n';
}

bool JsonFormat::append_item(std::string& out, const Item& item, const core::StreamInfo& info,
                             bool omit) {
  switch (item.kind) {
    case Item::Kind::kConstant:
      out += item.constant;
      return true;
    case Item::Kind::kValue: {
      const Operation& operation = *item.format.only_operation();
      Scratch scratch;
      const Value value = operation.evaluate(operation, info, scratch);
      if (value.kind() == Value::Kind::kNone) return false;
      append_value(out, value, operation.max_length);
      return true;
    }
    case Item::Kind::kText: {
      static thread_local std::string text;
      text.clear();
      item.format.append(text, info);
      append_string(out, text);
      return true;
    }
    case Item::Kind::kObject:
    case Item::Kind::kArray:
      append_members(out, item, info, omit);
      return true;
  }
  return false;
}

void JsonFormat::append_members(std::string& out, const Item& item, const core::StreamInfo& info,
                                bool omit) {
  const bool is_object = item.kind == Item::Kind::kObject;
  out += is_object ? '{' : '[';
  bool first = true;
  for (const Member& member : item.members) {
    const size_t before = out.size();
    if (!first) out += ',';
    out += member.key;
    if (append_item(out, *member.item, info, omit)) {
      first = false;
    } else if (omit && is_object) {
      out.resize(before);
    } else {
      out += "null";
      first = false;
    }
  }
  out += is_object ? '}' : ']';
}

}  // namespace pillion::telemetry
