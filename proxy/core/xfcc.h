#pragma once
// The grammar of x-forwarded-client-cert (Envoy's; it has no RFC):
//
//   XFCC = element *("," element)     element = pair *(";" pair)     pair = key "=" value
//
// A value with one of , ; = " \ in it, or a blank at an end, stands in double quotes, in which
// \ escapes " and \; outside of quotes '=' may be in a value all the same (Envoy writes URIs so).
// Blanks around an element are those of a list of fields that were joined.

#include <string_view>

namespace pillion::core {

struct XfccPair {
  std::string_view key;    // "By", "URI", ...: letters, of either case
  std::string_view value;  // as written between the quotes, if there are any
  bool quoted = false;
};

class XfccReader {
 public:
  enum class Step {
    kPair,     // `pair` is the next one of this element
    kElement,  // the next element begins: another proxy wrote it
    kEnd,
    kMalformed,  // for good
  };

  // `text` outlives the pairs.
  explicit XfccReader(std::string_view text) noexcept : rest_(text) {}
  Step next(XfccPair& pair) noexcept;

 private:
  enum class At { kStart, kBehindPair, kEnd, kMalformed };
  Step malformed() noexcept {
    at_ = At::kMalformed;
    return Step::kMalformed;
  }
  Step read_pair(XfccPair& pair) noexcept;
  bool read_quoted(XfccPair& pair) noexcept;
  void skip_blanks() noexcept;

  std::string_view rest_;
  At at_ = At::kStart;
};

// At least one element, and the last one ends: what is appended is read as an element of its own.
bool is_well_formed_xfcc(std::string_view text) noexcept;

// Must `value` stand in quotes?
bool needs_xfcc_quotes(std::string_view value) noexcept;

}  // namespace pillion::core
