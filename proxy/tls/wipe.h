#pragma once
// Overwriting of texts that held a key, so that neither a later core dump nor a reused block shows
// it.  What the compiler would leave out as dead stores is done here for certain.

#include <string>
#include <utility>

namespace pillion::tls {

// `text` is empty afterwards; its memory, as large as it ever was, holds zeros.
void wipe(std::string& text) noexcept;

// A text that is wiped when it goes out of scope.
class Wiped {
 public:
  explicit Wiped(std::string t) noexcept : text(std::move(t)) {}
  ~Wiped() { wipe(text); }
  Wiped(const Wiped&) = delete;
  Wiped& operator=(const Wiped&) = delete;
  std::string text;
};

}  // namespace pillion::tls
