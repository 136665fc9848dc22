#include "proxy/config/suggest.h"

#include <algorithm>
#include <vector>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"

namespace pillion::config {
namespace {

constexpr size_t kMostCandidates = 1000;  // a list of names may be a peer's
constexpr size_t kLongestName = 64;  // beyond it nobody mistypes a name, and the table stays small

char folded(char c) { return c == '-' ? '_' : to_lower(c); }

// Edit distance in which a swap of two neighbours is one step (optimal string alignment).
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = folded(a[i - 1]) == folded(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0U : 1U)});
      if (i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) &&
          folded(a[i - 2]) == folded(b[j - 1])) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::string_view closest(std::string_view name, std::span<const std::string_view> candidates) {
  if (name.empty() || name.size() > kLongestName) return {};
  std::string_view best;
  size_t best_distance = std::max<size_t>(1, name.size() / 3) + 1;
  for (std::string_view candidate :
       candidates.first(std::min(candidates.size(), kMostCandidates))) {
    if (candidate.empty() || candidate.size() > kLongestName) continue;
    const size_t d = distance(name, candidate);
    if (d < best_distance && d < candidate.size()) {
      best = candidate;
      best_distance = d;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view name, std::span<const std::string_view> candidates) {
  const std::string_view best = closest(name, candidates);
  return best.empty() ? std::string() : str(" (did you mean \"", best, "\"?)");
}

std::string printable(std::string_view text, size_t max_bytes) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    // Never cut within a UTF-8 sequence (continuation bytes are 10xxxxxx).
    const auto byte = static_cast<unsigned char>(text[i]);
    if (i >= max_bytes && (byte & 0xc0) != 0x80) return out + "...";
    if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += kHexDigits[byte >> 4];
      out += kHexDigits[byte & 15];
    } else {
      out += text[i];
    }
  }
  return out;
}

bool is_camel_case_of(std::string_view camel, std::string_view snake) {
  size_t i = 0;
  bool upper = false;
  for (char c : snake) {
    if (c == '_') {
      upper = true;
      continue;
    }
    if (i == camel.size()) return false;
    const char wanted = upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    if (camel[i++] != wanted) return false;
    upper = false;
  }
  return i == camel.size();
}

}  // namespace pillion::config
