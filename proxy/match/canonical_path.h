#pragma once
// The one canonical form of a request's path, made before routing, so that routes, policies, logs
// and the upstream all see the same string (design, section 9; reference, 6.2 and 6.4).
//
// Order of the steps, as in Envoy: slashes that were escaped (%2F, %5C), then RFC 3986 (unreserved
// characters are unescaped, those that a path may not have are escaped, hexadecimal digits become
// capitals, '\' is a slash, dot segments go away, also those that hide behind a parameter:
// "/..;x/"), then runs of slashes.  The query is never changed.
//
// Whoever does not keep escaped slashes means that nothing else may read as a slash either: ASCII
// in overlong UTF-8 (%C0%AF, which is no UTF-8: RFC 3629, 3) is refused then, too.

#include <cstdint>
#include <string_view>

#include "proxy/base/arena.h"
#include "proxy/config/node.h"

namespace pillion::match {

// path_with_escaped_slashes_action.
enum class EscapedSlashes : uint8_t { kKeep, kReject, kUnescapeRedirect, kUnescapeForward };

struct PathOptions {
  bool normalize = false;
  bool merge_slashes = false;
  EscapedSlashes escaped_slashes = EscapedSlashes::kKeep;
};

// normalize_path, merge_slashes and path_with_escaped_slashes_action of an HttpConnectionManager.
PathOptions parse_path_options(const config::Node& hcm);

enum class PathVerdict : uint8_t {
  kOk,        // go on with `path`
  kRedirect,  // tell the client to ask for `path` (307)
  kReject,    // 400: a fragment, a NUL, or an escaped slash or overlong UTF-8 where that is refused
};

struct PathResult {
  PathVerdict verdict = PathVerdict::kOk;
  std::string_view path;  // with the query
};

// `path_with_query` is an origin form, as in "/a?b".  One pass finds out that nothing can change,
// and then the result is the argument itself; a path with an escape, or with a slash before a dot
// or a slash, is written anew, in the arena.
PathResult canonicalize(std::string_view path_with_query, const PathOptions& options, Arena& arena);

// "/a;x/b;y=1" -> "/a/b": ignore_path_parameters_in_path_matching.  `path` has no query.  "%3B"
// begins a parameter, too, and a segment of nothing else is none ("/;x/a" -> "/a"): servers that
// drop parameters differ in whether they unescape and merge slashes before or after.
std::string_view without_path_parameters(std::string_view path, Arena& arena);

// The part before the query.
constexpr std::string_view without_query(std::string_view path) noexcept {
  return path.substr(0, path.find('?'));
}

}  // namespace pillion::match
