#include "proxy/telemetry/format.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "proxy/base/str.h"
#include "proxy/config/suggest.h"

namespace pillion::telemetry {
namespace {

constexpr std::string_view kDefaultLine =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
    "%RESPONSE_CODE% "
    "%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "
    "\"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" "
    "\"%REQ(:AUTHORITY)%\" "
    "\"%UPSTREAM_HOST%\"\n";

bool is_name_character(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// An operator as it is written, without the percent signs.
struct Written {
  std::string_view name;
  std::optional<std::string_view> arguments;
  std::optional<uint32_t> max_length;
  size_t length = 0;  // of all of it, with the closing '%'
};

// ":12%" or "%"; returns the length, 0 if it is neither.
size_t read_end(std::string_view rest, std::optional<uint32_t>& max_length) {
  if (rest.empty()) return 0;
  if (rest[0] == '%') return 1;
  if (rest[0] != ':') return 0;
  uint32_t number = 0;
  const auto end = std::from_chars(rest.data() + 1, rest.data() + rest.size(), number);
  if (end.ec != std::errc() || end.ptr == rest.data() + rest.size() || *end.ptr != '%') return 0;
  max_length = number;
  return static_cast<size_t>(end.ptr - rest.data()) + 1;
}

// `rest` begins after the '%'.
Result<Written> read_operator(std::string_view rest) {
  const auto shown = [rest] {
    return config::printable(rest.substr(0, std::min<size_t>(rest.find('\n'), 40)));
  };
  Written written;
  size_t at = 0;
  while (at < rest.size() && is_name_character(rest[at])) ++at;
  written.name = rest.substr(0, at);
  if (at == 0)
    return Error{
        str("expected an operator after \"%\", got \"", shown(), "\" (%% is a percent sign)")};
  if (at < rest.size() && rest[at] == '(') {
    // Arguments may contain anything (time formats, JSON): they end at a ')' that ends the
    // operator.
    const size_t begin = at + 1;
    for (size_t close = rest.find(')', begin); close != std::string_view::npos;
         close = rest.find(')', close + 1)) {
      const size_t end = read_end(rest.substr(close + 1), written.max_length);
      if (end == 0) continue;
      written.arguments = rest.substr(begin, close - begin);
      written.length = close + 1 + end;
      return written;
    }
  } else if (const size_t end = read_end(rest.substr(at), written.max_length); end != 0) {
    written.length = at + end;
    return written;
  }
  return Error{str("operator is not closed by \"%\": \"%", shown(), "\"")};
}

}  // namespace

std::string_view truncated(std::string_view text, std::optional<uint32_t> limit) noexcept {
  if (!limit || text.size() <= *limit) return text;
  size_t size = *limit;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

Result<Format> Format::compile(std::string_view text, const FormatOptions& options) {
  Format format;
  format.options_ = options;
  std::string literal;
  for (size_t at = 0; at < text.size();) {
    const size_t percent = std::min(text.find('%', at), text.size());
    literal += text.substr(at, percent - at);
    at = percent + 1;
    if (percent == text.size()) break;
    if (at < text.size() && text[at] == '%') {
      literal += '%';
      ++at;
      continue;
    }
    const Result<Written> written = read_operator(text.substr(at));
    if (!written) return Error{written.error()};
    Result<Operation> operation =
        compile_operator(written->name, written->arguments, written->max_length);
    if (!operation) return Error{operation.error()};
    format.pieces_.push_back({std::move(literal), std::move(*operation)});
    literal.clear();
    at += written->length;
  }
  format.tail_ = std::move(literal);
  return format;
}

const Format& Format::default_line() {
  static const Format line = std::move(*compile(kDefaultLine));
  return line;
}

void Format::append(std::string& out, const core::StreamInfo& info) const {
  Scratch scratch;
  for (const Piece& piece : pieces_) {
    out += piece.before;
    const Value value = piece.operation.evaluate(piece.operation, info, scratch);
    switch (value.kind) {
      case Value::Kind::kNone:
        if (!options_.omit_empty_values) out += '-';
        break;
      case Value::Kind::kNumber: {
        char digits[24];
        const auto end = std::to_chars(digits, digits + sizeof digits, value.number).ptr;
        out.append(digits, static_cast<size_t>(end - digits));
        break;
      }
      case Value::Kind::kText:
        append_escaped(out, truncated(value.text, piece.operation.max_length), options_.escape);
        break;
    }
  }
  out += tail_;
}

std::string_view Format::render(Arena& arena, const core::StreamInfo& info) const {
  static thread_local std::string text;
  text.clear();
  append(text, info);
  return arena.copy(text);
}

const Operation* Format::only_operation() const noexcept {
  return pieces_.size() == 1 && pieces_[0].before.empty() && tail_.empty() ? &pieces_[0].operation
                                                                           : nullptr;
}

}  // namespace pillion::telemetry
