#include "proxy/base/log_text.h"

#include <cstring>

#include "proxy/base/ascii.h"
#include "proxy/base/utf8.h"

namespace pillion {
namespace {

constexpr uint64_t repeat(uint64_t byte) { return byte * 0x0101010101010101ULL; }

// Is each of eight bytes in 0x20..0x7e?  Bit 7 of a lane is set for >= 0x80, < 0x20 (borrow) and
// 0x7f (carry); a borrow or carry between lanes only ever comes from a lane that fails itself.
bool all_printable(uint64_t word) {
  return ((word | (word - repeat(0x20)) | (word + repeat(0x01))) & repeat(0x80)) == 0;
}

bool is_printable(char c) { return c >= 0x20 && c < 0x7f; }

// Length of the printable ASCII at the start of `text`.
size_t printable_prefix(std::string_view text) {
  size_t n = 0;
  while (n + 8 <= text.size()) {
    uint64_t word;
    std::memcpy(&word, text.data() + n, 8);
    if (!all_printable(word)) break;
    n += 8;
  }
  while (n < text.size() && is_printable(text[n])) ++n;
  return n;
}

// Copies `n` bytes, which one or two words cover, if all of them are printable.
template <typename Word>
bool copy_covered(char* to, const char* from, size_t n) {
  Word first, last;
  std::memcpy(&first, from, sizeof first);
  std::memcpy(&last, from + n - sizeof last, sizeof last);
  constexpr uint64_t kFill = sizeof(Word) == 8 ? 0 : repeat(' ') << (8 * (sizeof(Word) % 8));
  if (!all_printable(first | kFill) || !all_printable(last | kFill)) return false;
  std::memcpy(to, &first, sizeof first);
  std::memcpy(to + n - sizeof last, &last, sizeof last);
  return true;
}

void append_byte(std::string& out, unsigned char byte) {
  switch (byte) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\x";
      out += kHexDigits[byte >> 4];
      out += kHexDigits[byte & 15];
  }
}

// How many bytes at the start, which is not printable ASCII, may pass as they are.
size_t allowed(std::string_view text, Escape escape) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return 0;
  if (escape == Escape::kControls) return 1;
  // U+0080..U+009F are C1 controls: some terminals obey them (CSI).
  if (first == 0xc2 && text.size() > 1 && static_cast<unsigned char>(text[1]) < 0xa0) return 0;
  return utf8_length(text);
}

}  // namespace

size_t copy_printable(char* to, std::string_view text) noexcept {
  const char* from = text.data();
  size_t left = text.size();
  for (; left > 16; from += 16, to += 16, left -= 16) {
    if (!copy_covered<uint64_t>(to, from, 16)) break;
  }
  const bool is_done = left > 16   ? false
                       : left >= 8 ? copy_covered<uint64_t>(to, from, left)
                       : left >= 4 ? copy_covered<uint32_t>(to, from, left)
                       : left >= 2 ? copy_covered<uint16_t>(to, from, left)
                                   : left == 0 || copy_covered<uint8_t>(to, from, left);
  if (is_done) return text.size();
  const size_t rest = printable_prefix({from, left});
  std::memcpy(to, from, rest);
  return text.size() - left + rest;
}

void append_escaped(std::string& out, std::string_view text, Escape escape) {
  if (escape == Escape::kNone) {
    out += text;
    return;
  }
  while (true) {
    const size_t plain = printable_prefix(text);
    out.append(text, 0, plain);
    text.remove_prefix(plain);
    if (text.empty()) return;
    size_t take = allowed(text, escape);
    if (take == 0) {
      append_byte(out, static_cast<unsigned char>(text[0]));
      take = 1;
    } else {
      out.append(text, 0, take);
    }
    text.remove_prefix(take);
  }
}

}  // namespace pillion
