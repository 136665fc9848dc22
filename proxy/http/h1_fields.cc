// Lines of fields, and trailers, which are nothing else.
#include <cstring>

#include "proxy/http/h1_parser.h"
#include "proxy/http/h1_scan.h"

namespace pillion::http {

bool H1FieldParser::has_line(const char* data, size_t size, size_t max_bytes) noexcept {
  if (size > max_bytes) size = max_bytes;
  if (scanned_ < position_) scanned_ = position_;
  if (scanned_ >= size) return false;
  const void* lf = std::memchr(data + scanned_, '\n', size - scanned_);
  scanned_ = lf == nullptr ? static_cast<uint32_t>(size)
                           : static_cast<uint32_t>(static_cast<const char*>(lf) - data);
  return lf != nullptr;
}

ParseStatus H1FieldParser::parse_field(char* data, size_t size, Field& out) noexcept {
  char* const line = data + position_;
  const char* const end = data + size;
  if (*line == '\r') {
    if (line + 1 == end || line[1] != '\n') return fail(FailureKind::kBareCrOrLf);
    position_ += 2;
    return ParseStatus::kDone;
  }
  if (*line == ' ' || *line == '\t') return fail(FailureKind::kObsoleteFolding);
  char* p = line;
  while (true) {  // a complete line ends in LF, which is no token character
    const char lower = kTokenLower[static_cast<uint8_t>(*p)];
    if (lower == 0) break;
    *p++ = lower;
  }
  if (*p != ':' || p == line) {
    return fail(*p == '\n' || *p == '\r' ? FailureKind::kBareCrOrLf : FailureKind::kBadFieldName);
  }
  out.name = {line, static_cast<size_t>(p - line)};
  ++p;
  while (*p == ' ' || *p == '\t') ++p;
  const char* value = p;
  const char* stop = find_control(value, end);
  while (*stop == '\t') stop = find_control(stop + 1, end);
  if (*stop != '\r')
    return fail(*stop == '\n' ? FailureKind::kBareCrOrLf : FailureKind::kBadFieldValue);
  if (stop[1] != '\n') return fail(FailureKind::kBareCrOrLf);
  const char* last = stop;
  while (last != value && (last[-1] == ' ' || last[-1] == '\t')) --last;
  out.value = {value, static_cast<size_t>(last - value)};
  out.id = find_header_id(out.name);
  if (out.id != HeaderId::kUnknown) out.name = header_name(out.id);
  position_ = static_cast<uint32_t>(stop + 2 - data);
  return ParseStatus::kNeedMore;
}

ParseStatus H1TrailerParser::parse(char* data, size_t size, const H1Limits& limits,
                                   Headers& trailers) {
  const size_t max_bytes = max_trailer_bytes(limits);
  while (true) {
    if (!has_line(data, size, max_bytes)) {
      return size >= max_bytes ? fail(FailureKind::kHeadTooLarge) : ParseStatus::kNeedMore;
    }
    Field field;
    const ParseStatus status = parse_field(data, size, field);
    if (status == ParseStatus::kFailed) return fail(FailureKind::kBadTrailer);
    if (status == ParseStatus::kDone) return status;
    if (++fields_ > limits.max_fields) return fail(FailureKind::kTooManyFields);
    if (is_forbidden_in_trailers(field.id)) return fail(FailureKind::kBadTrailer);
    trailers.add(field);
  }
}

}  // namespace pillion::http
