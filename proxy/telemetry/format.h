#pragma once
// Format: a text with %OPERATORS%, compiled once and rendered for streams.  Used by access logs,
// header values and bodies of local replies.
//
//   auto format = Format::compile("%REQ(:METHOD)% %RESPONSE_CODE%\n", {});
//   format->append(line, info);
//
// Syntax: %NAME%, %NAME(ARGUMENTS)%, %NAME(ARGUMENTS):MAXIMUM_LENGTH%; %% is a percent sign.  What
// has no value is "-".  Values are escaped, the text around them is not.  Immutable, shared by
// threads; append() allocates only to grow `out`.

#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/arena.h"
#include "proxy/base/log_text.h"
#include "proxy/base/result.h"
#include "proxy/core/stream_info.h"
#include "proxy/telemetry/operators.h"

namespace pillion::telemetry {

struct FormatOptions {
  Escape escape = Escape::kLine;
  bool omit_empty_values = false;  // nothing instead of "-"
};

class Format {
 public:
  static Result<Format> compile(std::string_view text, const FormatOptions& options = {});
  // Envoy's line for access logs that have no format.
  static const Format& default_line();

  void append(std::string& out, const core::StreamInfo& info) const;
  // As append(), to memory of the arena.
  [[nodiscard]] std::string_view render(Arena& arena, const core::StreamInfo& info) const;

  // A text without operators; literal() is it.
  [[nodiscard]] bool is_literal() const noexcept { return pieces_.empty(); }
  [[nodiscard]] const std::string& literal() const noexcept { return tail_; }
  // The operator, if the format is nothing else: JSON keeps the kind of its value.
  [[nodiscard]] const Operation* only_operation() const noexcept;

 private:
  struct Piece {
    Piece(std::string literal, Operation op);
    std::string before;         // literal text
    char short_before[8] = {};  // the same, if it is not longer than this
    Operation operation;
  };
  std::vector<Piece> pieces_;
  std::string tail_;  // literal text after the last operator
  FormatOptions options_;
};

// `text`, at most `limit` bytes of it, not cut within a UTF-8 character.
std::string_view truncated(std::string_view text, std::optional<uint32_t> limit) noexcept;

}  // namespace pillion::telemetry
