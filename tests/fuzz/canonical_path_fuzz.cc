// The canonical path.  The first byte chooses the options, the rest is a target, as the codecs let
// it pass.  Whatever it is, its canonical form is its own canonical form; it grows only by escapes;
// and where the options promise something about it, it keeps that.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "proxy/base/ascii.h"
#include "proxy/match/canonical_path.h"

using namespace pillion;
using namespace pillion::match;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

// Is a byte that a path may not have.
bool is_escaped(char c) {
  return static_cast<unsigned char>(c) >= 0x80 ||
         std::string_view("\"<>^`{|}").find(c) != std::string_view::npos;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

bool has_escape_of(std::string_view path, std::string_view bytes) {
  for (size_t i = 0; i < path.size(); ++i) {
    const int byte = escaped_byte(path.substr(i));
    if (byte >= 0 && bytes.find(static_cast<char>(byte)) != bytes.npos) return true;
  }
  return false;
}

constexpr std::string_view kUnreserved =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

void check_normal(std::string_view path) {
  check(path.starts_with('/'));
  check(!contains(path, "/../") && !contains(path, "/./"));
  check(!path.ends_with("/..") && !path.ends_with("/."));
  check(!contains(path, "/..;") && !contains(path, "/.;"));
  check(!contains(path, "/..%3B") && !contains(path, "/.%3B"));
  check(!contains(path, "\\") && !contains(path, "#"));
  check(!has_escape_of(path, kUnreserved) && !has_escape_of(path, std::string_view("\0", 1)));
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') continue;
    check(escaped_byte(path.substr(i)) >= 0);
    check((path[i + 1] < 'a' || path[i + 1] > 'f') && (path[i + 2] < 'a' || path[i + 2] > 'f'));
  }
}

void check_parameters(std::string_view path, Arena& arena) {
  const std::string_view bare = without_path_parameters(path, arena);
  check(bare.size() <= path.size());
  check(!contains(bare, ";") && !has_escape_of(bare, ";"));
  check(without_path_parameters(bare, arena) == bare);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 4000) return 0;
  PathOptions options;
  options.normalize = (data[0] & 1) != 0;
  options.merge_slashes = (data[0] & 2) != 0;
  options.escaped_slashes = static_cast<EscapedSlashes>(data[0] >> 2 & 3);
  std::string target = "/";
  target.append(reinterpret_cast<const char*>(data) + 1, size - 1);
  Arena arena;
  const PathResult once = canonicalize(target, options, arena);
  if (once.verdict == PathVerdict::kReject) return 0;
  size_t growing = 0;
  for (const char c : target) growing += c == '%' || is_escaped(c) ? 2 : 0;
  check(once.path.size() <= target.size() + growing);
  const std::string_view path = without_query(once.path);
  check(once.path.substr(path.size()) == target.substr(std::min(target.find('?'), target.size())));
  if (options.normalize) check_normal(path);
  if (options.merge_slashes) check(!contains(path, "//"));
  const bool keeps = options.escaped_slashes == EscapedSlashes::kKeep;
  if (!keeps && options.normalize) check(!has_escape_of(path, "/\\"));
  const PathResult twice = canonicalize(once.path, options, arena);
  check(twice.verdict == PathVerdict::kOk && twice.path == once.path);
  if (path.starts_with('/')) check_parameters(path, arena);
  return 0;
}
