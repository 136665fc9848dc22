#pragma once
// Text of strangers in our lines: what a peer sends must not forge a line or drive a terminal.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pillion {

// Which bytes append_escaped leaves alone.
enum class Escape : uint8_t {
  kLine,      // log lines: printable ASCII and well-formed UTF-8 above the C1 controls
  kControls,  // header values: everything but C0 controls and DEL; other bytes pass
  kNone,      // everything: somebody else will escape it
};

// Copies `text` to `to` up to its first byte that is not printable ASCII, and returns how much that
// was.  `to` has room for all of it, of which it may overwrite any part.
size_t copy_printable(char* to, std::string_view text) noexcept;

// Appends `text` with every other byte as \n, \r, \t or \xNN.  Backslashes stay as they are, so the
// result is for reading, not for parsing back.
void append_escaped(std::string& out, std::string_view text, Escape escape = Escape::kLine);

}  // namespace pillion
