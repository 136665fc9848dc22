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

void append_quoted_bytes(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
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

// Line ends to YAML 1.1, and the byte order mark: whoever reads them may change them.
struct Special {
  std::string_view bytes, escape;
};
constexpr std::array<Special, 4> kSpecials = {{{"\xc2\x85", "\\u0085"},
                                               {"\xe2\x80\xa8", "\\u2028"},
                                               {"\xe2\x80\xa9", "\\u2029"},
                                               {"\xef\xbb\xbf", "\\uFEFF"}}};

bool has_special(std::string_view text) {
  return std::any_of(kSpecials.begin(), kSpecials.end(), [text](const Special& special) {
    return text.find(special.bytes) != text.npos;
  });
}

void append_quoted(std::string& out, std::string_view text) {
  if (has_special(text)) {
    std::string escaped;
    append_quoted_bytes(escaped, text);
    for (const Special& special : kSpecials) {
      for (size_t at = 0; (at = escaped.find(special.bytes, at)) != escaped.npos;) {
        escaped.replace(at, special.bytes.size(), special.escape);
      }
    }
    out += escaped;
    return;
  }
  append_quoted_bytes(out, text);
}

// A text of several lines that YAML's `|` shows as it is, whichever version of YAML reads it.
bool fits_literal(std::string_view text) {
  if (text.find('\n') == text.npos || text[0] == ' ' || text[0] == '\t' || text[0] == '\n')
    return false;
  if (has_special(text)) return false;
  bool is_line_blank = false, has_blanks = false;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f) return false;
    // A line of nothing but spaces may or may not count as empty.
    if (c == '\n' && is_line_blank && has_blanks) return false;
    const bool is_blank = c == ' ' || c == '\t';
    has_blanks = c != '\n' && (is_blank || has_blanks);
    is_line_blank = c == '\n' || (is_blank && is_line_blank);
  }
  return !(is_line_blank && has_blanks);
}

void append_literal(std::string& out, std::string_view text, size_t indent) {
  out += '|';
  if (!text.ends_with('\n')) out += '-';
  if (text.ends_with("\n\n")) out += '+';
  if (text.ends_with('\n')) text.remove_suffix(1);
  while (true) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    out += '\n';
    if (!line.empty()) out.append(indent, ' ').append(line);
    if (end == text.npos) return;
    text.remove_prefix(end + 1);
  }
}

void append_string(std::string& out, std::string_view text) {
  if (is_safe_plain(text) && !looks_typed(text)) {
    out += text;
  } else {
    append_quoted(out, text);
  }
}

// What was read stays plain or quoted; what has no place was added, and is printed as needed.
void append_as_written(std::string& out, const Value& value, size_t indent) {
  const std::string_view text = value.scalar();
  const bool is_one_line = text.find('\n') == text.npos && !has_special(text);
  if (value.is_quoted && fits_literal(text)) {
    append_literal(out, text, indent);
  } else if (value.is_quoted && value.mark.line == 0) {
    append_string(out, text);
  } else if (!value.is_quoted && is_one_line) {
    out += text;
  } else {
    append_quoted(out, text);
  }
}

void append_scalar(std::string& out, const Value& value, size_t indent, ScalarStyle style) {
  if (value.kind == Kind::kNull) {
    out += "null";
  } else if (style == ScalarStyle::kAsWritten) {
    append_as_written(out, value, indent);
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

void append_value(std::string& out, const Value& value, size_t indent, ScalarStyle style);

// The first entry continues the line if it follows a "- ".
void append_entries(std::string& out, const Value& mapping, size_t indent, bool continues,
                    ScalarStyle style) {
  for (const Value* child = mapping.first_child; child != nullptr; child = child->next) {
    if (!continues) out.append(indent, ' ');
    continues = false;
    append_string(out, child->key->text);
    out += ':';
    // Lists stand at their key's own indentation.
    const bool is_list = child->kind == Kind::kSequence;
    append_value(out, *child, is_list ? indent : indent + 2, style);
  }
}

void append_items(std::string& out, const Value& list, size_t indent, ScalarStyle style) {
  for (const Value* child = list.first_child; child != nullptr; child = child->next) {
    out.append(indent, ' ');
    out += '-';
    if (child->kind == Kind::kMapping && child->size != 0) {
      out += ' ';
      append_entries(out, *child, indent + 2, true, style);
    } else {
      append_value(out, *child, indent + 2, style);
    }
  }
}

// After a key or a '-'.
void append_value(std::string& out, const Value& value, size_t indent, ScalarStyle style) {
  if (!is_block(value)) {
    out += ' ';
    if (value.kind == Kind::kMapping) out += "{}";
    if (value.kind == Kind::kSequence) out += "[]";
    if (value.kind == Kind::kScalar || value.kind == Kind::kNull)
      append_scalar(out, value, indent, style);
    out += '\n';
    return;
  }
  out += '\n';
  if (value.kind == Kind::kMapping) {
    append_entries(out, value, indent, false, style);
  } else {
    append_items(out, value, indent, style);
  }
}

}  // namespace

std::string print_yaml(const Document& document, ScalarStyle style) {
  std::string out;
  const Value& root = document.root_value();
  if (root.kind == Kind::kMapping && root.size != 0) {
    append_entries(out, root, 0, false, style);
  } else {
    append_value(out, root, 0, style);
    if (out[0] == ' ' || out[0] == '\n') out.erase(0, 1);
  }
  return out;
}

}  // namespace pillion::config
