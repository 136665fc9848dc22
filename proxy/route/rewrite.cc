#include "proxy/route/rewrite.h"

#include <algorithm>
#include <cstring>

#include "proxy/match/canonical_path.h"

namespace pillion::route {
namespace {

// How much of `path` the route matched; parameters that it did not look at go with their segment.
size_t matched_length(const RouteMatch& match, std::string_view path) {
  const PathMatcher& matcher = match.route->path;
  if (!match.host->table->ignores_path_parameters()) return matcher.matched_length(path);
  if (matcher.kind() != PathMatcher::Kind::kPrefix &&
      matcher.kind() != PathMatcher::Kind::kSeparatedPrefix) {
    return path.size();
  }
  size_t left = matcher.text().size();
  size_t at = 0;
  while (at < path.size() && (left != 0 || path[at] == ';')) {
    if (path[at] == ';') {
      at = std::min(path.find('/', at), path.size());
    } else {
      ++at;
      --left;
    }
  }
  return at;
}

}  // namespace

std::string_view join(Arena& arena, std::initializer_list<std::string_view> parts) {
  size_t size = 0;
  for (std::string_view part : parts) size += part.size();
  auto* text = static_cast<char*>(arena.allocate(size + 1, 1));
  char* at = text;
  for (std::string_view part : parts) at = std::copy(part.begin(), part.end(), at);
  return {text, size};
}

std::string_view rewrite_path(const RouteMatch& match, std::string_view path, PathRewrite rewrite,
                              Arena& arena) {
  if (path == "*") return path;  // OPTIONS *: there is no path
  const std::string_view plain = match::without_query(path);
  const std::string_view query = path.substr(plain.size());
  if (!rewrite.prefix.empty()) {
    const std::string_view rest = plain.substr(matched_length(match, plain));
    return join(arena, {rewrite.prefix.starts_with('/') ? "" : "/", rewrite.prefix, rest, query});
  }
  if (rewrite.regex) {
    const std::string_view rewritten = rewrite.regex.apply(plain, arena);
    return join(arena, {rewritten.starts_with('/') ? "" : "/", rewritten, query});
  }
  return path;
}

}  // namespace pillion::route
