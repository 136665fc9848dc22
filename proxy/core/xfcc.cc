#include "proxy/core/xfcc.h"

#include <algorithm>

namespace pillion::core {
namespace {

bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

}  // namespace

void XfccReader::skip_blanks() noexcept {
  while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t')) rest_.remove_prefix(1);
}

XfccReader::Step XfccReader::next(XfccPair& pair) noexcept {
  switch (at_) {
    case At::kStart:
      return read_pair(pair);
    case At::kBehindPair:
      skip_blanks();
      if (rest_.empty()) {
        at_ = At::kEnd;
        return Step::kEnd;
      }
      if (rest_.front() == ';') {
        rest_.remove_prefix(1);
        return read_pair(pair);
      }
      if (rest_.front() != ',') return malformed();
      rest_.remove_prefix(1);
      at_ = At::kStart;
      return Step::kElement;
    case At::kEnd:
      return Step::kEnd;
    case At::kMalformed:
      break;
  }
  return Step::kMalformed;
}

XfccReader::Step XfccReader::read_pair(XfccPair& pair) noexcept {
  skip_blanks();
  const auto key_end =
      static_cast<size_t>(std::ranges::find_if_not(rest_, is_letter) - rest_.begin());
  if (key_end == 0 || key_end == rest_.size() || rest_[key_end] != '=') return malformed();
  pair.key = rest_.substr(0, key_end);
  rest_.remove_prefix(key_end + 1);
  pair.quoted = rest_.starts_with('"');
  if (pair.quoted) {
    if (!read_quoted(pair)) return malformed();
  } else {
    const size_t end = std::min(rest_.find_first_of(",;"), rest_.size());
    pair.value = rest_.substr(0, end);
    // A quote within a value was meant to begin one: two readers would disagree on where it ends.
    if (pair.value.find('"') != std::string_view::npos) return malformed();
    rest_.remove_prefix(end);
  }
  at_ = At::kBehindPair;
  return Step::kPair;
}

bool XfccReader::read_quoted(XfccPair& pair) noexcept {
  for (size_t i = 1; i < rest_.size(); ++i) {
    if (rest_[i] == '\\') {
      ++i;
    } else if (rest_[i] == '"') {
      pair.value = rest_.substr(1, i - 1);
      rest_.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

bool is_well_formed_xfcc(std::string_view text) noexcept {
  XfccReader reader(text);
  XfccPair pair;
  while (true) {
    const XfccReader::Step step = reader.next(pair);
    if (step == XfccReader::Step::kEnd) return true;
    if (step == XfccReader::Step::kMalformed) return false;
  }
}

bool needs_xfcc_quotes(std::string_view value) noexcept {
  // A blank at an end would be one of the field's, which may have none.
  return value.find_first_of(",;=\"\\") != std::string_view::npos || value.starts_with(' ') ||
         value.ends_with(' ');
}

}  // namespace pillion::core
