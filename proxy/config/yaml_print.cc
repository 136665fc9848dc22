#include "proxy/config/yaml_print.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/config/scalars.h"

namespace pillion::config {
namespace {

bool is_word_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '/' || c == '.';
}

// Would YAML (1.1 or 1.2) take the plain text for something else than a string?
bool looks_typed(std::string_view text) {
  static constexpr std::array<std::string_view, 12> kWords = {
      "true", "false", "null", "yes", "no", "on", "off", "y", "n", ".inf", ".nan", "~"};
  auto is = [text](std::string_view word) { return equals_ignore_case(text, word); };
  if (std::any_of(kWords.begin(), kWords.end(), is)) return true;
  const bool starts_as_number = (text[0] >= '0' && text[0] <= '9') || text[0] == '.';
  if (!starts_as_number) return false;
  // 1_000, 0x1f, 0o17, 12:30 and dates are numbers to some reader.
  return parse_double(text).has_value() ||
         text.find_first_not_of("0123456789_:-xXoabcdefABCDEF") == text.npos;
}

bool is_safe_plain(std::string_view text) {
  if (text.empty() || !is_word_char(text[0])) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool is_inner = c == '-' || c == '|' || c == '%' || c == '@' || c == '+' || c == '*' ||
                          (c == ':' && i + 1 < text.size() && is_word_char(text[i + 1]));
    if (!is_word_char(c) && !is_inner) return false;
  }
  return true;
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += kHexDigits[byte >> 4];
      out += kHexDigits[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

void append_string(std::string& out, std::string_view text) {
  if (is_safe_plain(text) && !looks_typed(text)) {
    out += text;
  } else {
    append_quoted(out, text);
  }
}

void append_scalar(std::string& out, const Value& value) {
  if (value.kind == Kind::kNull) {
    out += "null";
  } else if (!value.is_quoted && is_safe_plain(value.scalar())) {
    out += value.scalar();
  } else if (!value.is_quoted && parse_double(value.scalar())) {
    out += value.scalar();  // a negative number
  } else {
    append_string(out, value.scalar());
  }
}

bool is_block(const Value& value) {
  return (value.kind == Kind::kMapping || value.kind == Kind::kSequence) && value.size != 0;
}

void append_value(std::string& out, const Value& value, size_t indent);

// The first entry continues the line if it follows a "- ".
void append_entries(std::string& out, const Value& mapping, size_t indent, bool continues) {
  for (const Value* child = mapping.first_child; child != nullptr; child = child->next) {
    if (!continues) out.append(indent, ' ');
    continues = false;
    append_string(out, child->key->text);
    out += ':';
    // Lists stand at their key's own indentation.
    const bool is_list = child->kind == Kind::kSequence;
    append_value(out, *child, is_list ? indent : indent + 2);
  }
}

void append_items(std::string& out, const Value& list, size_t indent) {
  for (const Value* child = list.first_child; child != nullptr; child = child->next) {
    out.append(indent, ' ');
    out += '-';
    if (child->kind == Kind::kMapping && child->size != 0) {
      out += ' ';
      append_entries(out, *child, indent + 2, true);
    } else {
      append_value(out, *child, indent + 2);
    }
  }
}

// After a key or a '-'.
void append_value(std::string& out, const Value& value, size_t indent) {
  if (!is_block(value)) {
    out += ' ';
    if (value.kind == Kind::kMapping) out += "{}";
    if (value.kind == Kind::kSequence) out += "[]";
    if (value.kind == Kind::kScalar || value.kind == Kind::kNull) append_scalar(out, value);
    out += '\n';
    return;
  }
  out += '\n';
  if (value.kind == Kind::kMapping) {
    append_entries(out, value, indent, false);
  } else {
    append_items(out, value, indent);
  }
}

}  // namespace

std::string print_yaml(const Document& document) {
  std::string out;
  const Value& root = document.root_value();
  if (root.kind == Kind::kMapping && root.size != 0) {
    append_entries(out, root, 0, false);
  } else {
    append_value(out, root, 0);
    if (out[0] == ' ' || out[0] == '\n') out.erase(0, 1);
  }
  return out;
}

}  // namespace pillion::config
