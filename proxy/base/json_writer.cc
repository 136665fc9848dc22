#include "proxy/base/json_writer.h"

#include <charconv>
#include <cmath>

#include "proxy/base/ascii.h"
#include "proxy/base/assert.h"
#include "proxy/base/str.h"
#include "proxy/base/utf8.h"

namespace pillion {

JsonWriter& JsonWriter::key(std::string_view name) {
  DASSERT(!levels_.empty() && levels_.back().is_object && !after_key_);
  if (!levels_.back().is_empty) out_ += ',';
  levels_.back().is_empty = false;
  new_line();
  append_json_string(out_, name);
  out_ += style_ == Style::kPretty ? ": " : ":";
  after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::open(char bracket) {
  before_value();
  out_ += bracket;
  levels_.push_back({bracket == '{'});
  return *this;
}

JsonWriter& JsonWriter::close(char bracket) {
  DASSERT(!levels_.empty() && levels_.back().is_object == (bracket == '}') && !after_key_);
  const bool was_empty = levels_.back().is_empty;
  levels_.pop_back();
  if (!was_empty) new_line();
  out_ += bracket;
  return *this;
}

JsonWriter& JsonWriter::string(std::string_view text) {
  before_value();
  append_json_string(out_, text);
  return *this;
}

JsonWriter& JsonWriter::number(uint64_t v) {
  before_value();
  append_to(out_, v);
  return *this;
}

JsonWriter& JsonWriter::number(int64_t v) {
  before_value();
  append_to(out_, v);
  return *this;
}

JsonWriter& JsonWriter::number(double v) {
  if (!std::isfinite(v)) return null();
  before_value();
  append_to(out_, v);
  return *this;
}

JsonWriter& JsonWriter::value_as_string(uint64_t v) { return string(str(v)); }

JsonWriter& JsonWriter::raw(std::string_view json) {
  before_value();
  out_ += json;
  return *this;
}

void JsonWriter::before_value() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (levels_.empty()) return;
  DASSERT(!levels_.back().is_object);
  if (!levels_.back().is_empty) out_ += ',';
  levels_.back().is_empty = false;
  new_line();
}

void JsonWriter::new_line() {
  if (style_ == Style::kCompact) return;
  out_ += '\n';
  out_.append(levels_.size(), ' ');
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const char c = text[0];
    const auto code = static_cast<unsigned char>(c);
    size_t take = 1;
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (code < 0x20 || code == 0x7f) {
      out += "\\u00";
      out += kHexDigits[code >> 4];
      out += kHexDigits[code & 15];
    } else if (const size_t length = utf8_length(text); length == 0) {
      out += "\\ufffd";
    } else {
      take = length;
      out += text.substr(0, take);
    }
    text.remove_prefix(take);
  }
  out += '"';
}

}  // namespace pillion
