#include "proxy/telemetry/format.h"

#include <algorithm>
#include <charconv>
#include <cstring>
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

// A line on its way to a string.  Its pieces are many and small: gathered here they cost a few
// instructions each, in the string a call and a look at its capacity.
class Gather {
 public:
  explicit Gather(std::string& out) noexcept : out_(out) {}

  // Makes room for one literal(), mark() or number().
  void begin_piece() {
    if (room() < kPiece) [[unlikely]]
      flush();
  }
  // `text`, which `word` begins with if it fits in there.
  void literal(std::string_view text, const char (&word)[8]) {
    if (text.size() > sizeof word) return plain(text);
    std::memcpy(at_, word, sizeof word);
    at_ += text.size();
  }
  void mark(char c) { *at_++ = c; }
  void number(int64_t n) {
    if (n >= 0 && n < 10) return mark(static_cast<char>('0' + n));
    at_ = std::to_chars(at_, bytes_ + sizeof bytes_, n).ptr;
  }
  void plain(std::string_view text) {
    flush();
    out_ += text;
  }
  void escaped(std::string_view text, Escape escape) {
    if (text.size() <= room()) [[likely]] {
      const size_t printable = copy_printable(at_, text);
      at_ += printable;
      if (printable == text.size()) [[likely]]
        return;
      text.remove_prefix(printable);
    }
    flush();
    append_escaped(out_, text, escape);
  }
  void flush() {
    out_.append(bytes_, static_cast<size_t>(at_ - bytes_));
    at_ = bytes_;
  }

 private:
  static constexpr size_t kPiece = 64;
  [[nodiscard]] size_t room() const { return static_cast<size_t>(bytes_ + sizeof bytes_ - at_); }

  std::string& out_;
  char* at_ = bytes_;
  char bytes_[1024];
};

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

Format::Piece::Piece(std::string literal, Operation op)
    : before(std::move(literal)), operation(std::move(op)) {
  before.copy(short_before, sizeof short_before);
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
    format.pieces_.emplace_back(std::move(literal), std::move(*operation));
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
  Gather line(out);
  for (const Piece& piece : pieces_) {
    line.begin_piece();
    line.literal(piece.before, piece.short_before);
    const Value value = piece.operation.evaluate(piece.operation, info, scratch);
    switch (value.kind()) {
      case Value::Kind::kNone:
        if (!options_.omit_empty_values) line.mark('-');
        break;
      case Value::Kind::kNumber:
        line.number(value.number());
        break;
      case Value::Kind::kText:
      case Value::Kind::kJson:
        line.escaped(piece.operation.max_length
                         ? truncated(value.text(), piece.operation.max_length)
                         : value.text(),
                     options_.escape);
        break;
    }
  }
  line.plain(tail_);
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
