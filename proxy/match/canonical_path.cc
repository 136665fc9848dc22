#include "proxy/match/canonical_path.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "proxy/base/ascii.h"
#include "proxy/base/escape.h"

namespace pillion::match {
namespace {

using config::EnumRow;

constexpr EnumRow kActions[] = {{"IMPLEMENTATION_SPECIFIC_DEFAULT", 0},
                                {"KEEP_UNCHANGED", 1},
                                {"REJECT_REQUEST", 2},
                                {"UNESCAPE_AND_REDIRECT", 3},
                                {"UNESCAPE_AND_FORWARD", 4}};

// What a byte of a path may start that needs a closer look.
enum ByteClass : uint8_t { kPlain, kSlash, kBackslash, kPercent, kHash, kQuery, kIllegal };

// No characters of a path (RFC 3986, 3.3), but some clients send them and some servers refuse them.
constexpr std::string_view kIllegalBytes = "\"<>^`{|}";

constexpr auto kClasses = [] {
  std::array<uint8_t, 256> classes{};
  classes['/'] = kSlash;
  classes['\\'] = kBackslash;
  classes['%'] = kPercent;
  classes['#'] = kHash;
  classes['?'] = kQuery;
  for (const char c : kIllegalBytes) classes[static_cast<uint8_t>(c)] = kIllegal;
  for (size_t byte = 0x80; byte < 256; ++byte) classes[byte] = kIllegal;
  return classes;
}();

// Where the parameter of a segment begins: a ';' or its escape; the text's end if there is none.
size_t parameter_at(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ';' || (text[i] == '%' && escaped_byte(text.substr(i)) == ';')) return i;
  }
  return text.size();
}

// What the fast look at a target found.
struct Scan {
  size_t path_end = 0;      // where the query begins
  size_t growing = 0;       // bytes that may become three
  bool suspicious = false;  // the path may change
  bool fragment = false;
};

Scan scan(std::string_view target) {
  Scan s;
  const size_t n = target.size();
  size_t i = 0;
  for (; i < n; ++i) {
    switch (kClasses[static_cast<uint8_t>(target[i])]) {
      case kPlain:
        continue;
      case kSlash:
        s.suspicious |= i + 1 < n && (target[i + 1] == '/' || target[i + 1] == '.');
        continue;
      case kPercent:
      case kIllegal:
        ++s.growing;
        [[fallthrough]];
      case kBackslash:
        s.suspicious = true;
        continue;
      case kHash:
        s.fragment = true;
        return s;
      default:
        break;
    }
    break;
  }
  s.path_end = i;
  s.fragment = i < n && std::memchr(target.data() + i, '#', n - i) != nullptr;
  return s;
}

struct Unescaped {
  size_t size = 0;
  bool had_slash = false;     // %2F or %5C
  bool had_nul = false;       // %00
  bool had_overlong = false;  // ASCII in overlong UTF-8
};

// The escape at the front of `path`, which stands for `byte`, as the options want it.
char* write_escaped(char* at, std::string_view path, int byte, const PathOptions& options) {
  const bool is_slash = byte == '/' || byte == '\\';
  if (is_slash && options.escaped_slashes != EscapedSlashes::kKeep) {
    *at++ = byte == '\\' && options.normalize ? '/' : static_cast<char>(byte);
  } else if (!options.normalize) {
    std::memcpy(at, path.data(), 3);
    at += 3;
  } else if (is_unreserved(static_cast<char>(byte))) {
    *at++ = static_cast<char>(byte);
  } else {
    at = write_escape(at, byte);
  }
  return at;
}

// Copies the path, unescaping what the options ask for.  A '%' that escapes nothing becomes "%25"
// when normalizing, so that what follows it cannot turn into a new escape ("%%32e" -> "%2e").
// Bytes that a path may not have are escaped then, too.  `out` has room for two more bytes for each
// of both.
Unescaped unescape(std::string_view path, const PathOptions& options, char* out) {
  Unescaped result;
  char* at = out;
  int before = 0;  // the last byte that was meant
  for (size_t i = 0; i < path.size(); ++i) {
    const char c = path[i];
    const int escaped = c == '%' ? escaped_byte(path.substr(i)) : -1;
    const int byte = escaped < 0 ? static_cast<uint8_t>(c) : escaped;
    result.had_overlong |= is_overlong_ascii(before, byte);
    before = byte;
    if (escaped >= 0) {
      result.had_slash |= byte == '/' || byte == '\\';
      result.had_nul |= byte == 0;
      at = write_escaped(at, path.substr(i), byte, options);
      i += 2;
    } else if (options.normalize && (c == '%' || kClasses[static_cast<uint8_t>(c)] == kIllegal)) {
      at = write_escape(at, byte);
    } else {
      *at++ = c == '\\' && options.normalize ? '/' : c;
    }
  }
  result.size = static_cast<size_t>(at - out);
  return result;
}

// RFC 3986, 5.2.4, in place; a parameter does not hide a dot segment ("/..;x/": CVE-2026-73551).
size_t remove_dot_segments(char* path, size_t size) {
  size_t out = 0;
  for (size_t i = 0; i < size;) {  // path[i] is a slash
    const std::string_view rest(path + i + 1, size - i - 1);
    const std::string_view segment = rest.substr(0, rest.find('/'));
    const std::string_view name = segment.substr(0, parameter_at(segment));
    const size_t next = i + 1 + segment.size();
    if (name == "." || name == "..") {
      if (name == ".." && out > 0) {
        while (path[--out] != '/') {
        }
      }
      if (next == size) path[out++] = '/';
    } else {
      std::memmove(path + out, path + i, segment.size() + 1);
      out += segment.size() + 1;
    }
    i = next;
  }
  return out;
}

size_t merge_slashes(char* path, size_t size) {
  size_t out = 0;
  for (size_t i = 0; i < size; ++i) {
    if (path[i] == '/' && out > 0 && path[out - 1] == '/') continue;
    path[out++] = path[i];
  }
  return out;
}

}  // namespace

PathOptions parse_path_options(const config::Node& hcm) {
  PathOptions options;
  options.normalize = hcm["normalize_path"].as_bool_or(false);
  options.merge_slashes = hcm["merge_slashes"].as_bool_or(false);
  switch (hcm["path_with_escaped_slashes_action"].as_enum_or<int>(0, kActions)) {
    case 2:
      options.escaped_slashes = EscapedSlashes::kReject;
      break;
    case 3:
      options.escaped_slashes = EscapedSlashes::kUnescapeRedirect;
      break;
    case 4:
      options.escaped_slashes = EscapedSlashes::kUnescapeForward;
      break;
    default:
      break;
  }
  return options;
}

PathResult canonicalize(std::string_view target, const PathOptions& options, Arena& arena) {
  const bool escapes = options.escaped_slashes != EscapedSlashes::kKeep;
  if (!(options.normalize || options.merge_slashes || escapes)) {
    const bool fragment = target.find('#') != target.npos;
    return {fragment ? PathVerdict::kReject : PathVerdict::kOk, target};
  }
  const Scan found = scan(target);
  if (found.fragment) return {PathVerdict::kReject, {}};  // CVE-2021-32779
  if (!found.suspicious) return {PathVerdict::kOk, target};
  if (!target.starts_with('/')) return {PathVerdict::kReject, {}};
  const std::string_view query = target.substr(found.path_end);
  auto* out = static_cast<char*>(arena.allocate(target.size() + 2 * found.growing, 1));
  const Unescaped path = unescape(target.substr(0, found.path_end), options, out);
  if (path.had_nul && options.normalize) return {PathVerdict::kReject, {}};
  if (path.had_overlong && escapes) return {PathVerdict::kReject, {}};
  if (path.had_slash && options.escaped_slashes == EscapedSlashes::kReject) {
    return {PathVerdict::kReject, {}};
  }
  size_t size = path.size;
  if (options.normalize) size = remove_dot_segments(out, size);
  if (options.merge_slashes) size = merge_slashes(out, size);
  const bool redirect =
      path.had_slash && options.escaped_slashes == EscapedSlashes::kUnescapeRedirect;
  if (redirect) {  // "Location: //host/" would lead to another site
    const std::string_view text(out, size);
    const size_t root = std::min(text.find_first_not_of("/\\"), size) - 1;
    out += root;
    size -= root;
    *out = '/';
  }
  if (!query.empty()) std::memcpy(out + size, query.data(), query.size());
  return {redirect ? PathVerdict::kRedirect : PathVerdict::kOk, {out, size + query.size()}};
}

std::string_view without_path_parameters(std::string_view path, Arena& arena) {
  if (parameter_at(path) == path.size()) return path;
  auto* out = static_cast<char*>(arena.allocate(path.size(), 1));
  size_t size = 0;
  for (size_t i = 0; i < path.size();) {  // path[i] is a slash
    const std::string_view rest = path.substr(i + 1);
    const std::string_view segment = rest.substr(0, rest.find('/'));
    const std::string_view name = segment.substr(0, parameter_at(segment));
    i += 1 + segment.size();
    if (name.empty() && !segment.empty() && i != path.size()) continue;
    out[size++] = '/';
    if (!name.empty()) std::memcpy(out + size, name.data(), name.size());
    size += name.size();
  }
  return {out, size};
}

}  // namespace pillion::match
