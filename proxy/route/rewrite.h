#pragma once
// The path arithmetic that rewrites and redirects share.

#include <initializer_list>
#include <string>
#include <string_view>

#include "proxy/base/arena.h"
#include "proxy/match/regex.h"
#include "proxy/route/route_table.h"

namespace pillion::route {

// The parts, one after the other, in the arena.
std::string_view join(Arena& arena, std::initializer_list<std::string_view> parts);

// prefix_rewrite or regex_rewrite, at most one of them; an empty prefix is none.
struct PathRewrite {
  const std::string& prefix;
  const match::RegexRewrite& regex;
};

// `path` (with its query) rewritten; `path` itself if there is no rewrite.  What the match's route
// matched is replaced.  The result begins with a slash: a path of another form would be no request.
std::string_view rewrite_path(const RouteMatch& match, std::string_view path, PathRewrite rewrite,
                              Arena& arena);

}  // namespace pillion::route
