#include <algorithm>
#include <cstring>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/config/yaml_text.h"

namespace pillion::config {
namespace {

// Length of the UTF-8 sequence at the front, 0 if it is invalid (RFC 3629: no surrogates, no
// overlong forms, nothing above U+10FFFF).
size_t sequence_length(std::string_view text) {
  auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  auto is_tail = [&](size_t i) { return i < text.size() && (byte(i) & 0xc0) == 0x80; };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return is_tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (!is_tail(1) || !is_tail(2)) return 0;
    if (first == 0xe0 && byte(1) < 0xa0) return 0;
    return first == 0xed && byte(1) > 0x9f ? 0 : 3;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (!is_tail(1) || !is_tail(2) || !is_tail(3)) return 0;
    if (first == 0xf0 && byte(1) < 0x90) return 0;
    return first == 0xf4 && byte(1) > 0x8f ? 0 : 4;
  }
  return 0;
}

bool is_forbidden(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7f;
}

Error<TextError> wrong_byte(Mark mark, char c, const char* what) {
  const auto byte = static_cast<unsigned char>(c);
  return Error{
      TextError{mark, str(what, ": byte 0x", kHexDigits[byte >> 4], kHexDigits[byte & 15])}};
}

}  // namespace

Status<TextError> check_text(std::string_view text, const LoadLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return Error{TextError{{}, str("longer than ", limits.max_bytes >> 20, " MiB")}};
  }
  Mark mark{1, 1};
  size_t line_start = 0;
  bool is_blank = true;
  for (size_t i = 0; i < text.size();) {
    mark.column = static_cast<uint32_t>(i - line_start) + 1;
    const char c = text[i];
    if (is_forbidden(c)) return wrong_byte(mark, c, "not a text file");
    const size_t length = sequence_length(text.substr(i));
    if (length == 0) return wrong_byte(mark, c, "not valid UTF-8");
    if (i - line_start > limits.max_line_bytes) {
      return Error{TextError{mark, str("line longer than ", limits.max_line_bytes, " bytes")}};
    }
    if (c == '\n') {
      ++mark.line;
      line_start = i + 1;
    }
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r') is_blank = false;
    i += length;
  }
  if (is_blank) return Error{TextError{{}, "the file is empty"}};
  return Ok{};
}

}  // namespace pillion::config
