// The target of a redirect (RedirectAction).
#include <charconv>

#include "proxy/match/canonical_path.h"
#include "proxy/route/rewrite.h"
#include "proxy/route/route_table.h"

namespace pillion::route {
namespace {

// The request's authority, without a port that is replaced, or that was the default of the scheme
// which is replaced.
std::string_view kept_authority(const RedirectAction& action, const http::RequestHead& head,
                                std::string_view scheme) {
  const std::string_view host = without_port(head.authority);
  if (host.size() == head.authority.size()) return host;
  const std::string_view port = head.authority.substr(host.size());
  const bool was_default = scheme != head.scheme && ((head.scheme == "https" && port == ":443") ||
                                                     (head.scheme == "http" && port == ":80"));
  return action.port != 0 || was_default ? host : head.authority;
}

std::string_view new_path(const RouteMatch& match, std::string_view path, Arena& arena) {
  const RedirectAction& action = *match.route->redirect;
  if (!action.path.empty()) {
    // A query of its own takes the place of the request's and is never stripped.
    if (action.path.find('?') != action.path.npos || action.strip_query) return action.path;
    return join(arena, {action.path, path.substr(match::without_query(path).size())});
  }
  const std::string_view rewritten =
      rewrite_path(match, path, {action.prefix, action.regex}, arena);
  return action.strip_query ? match::without_query(rewritten) : rewritten;
}

}  // namespace

std::string_view redirect_location(const RouteMatch& match, const http::RequestHead& head,
                                   Arena& arena) {
  const RedirectAction& action = *match.route->redirect;
  const std::string_view scheme = action.scheme.empty() ? head.scheme : action.scheme;
  const std::string_view authority =
      action.host.empty() ? kept_authority(action, head, scheme) : action.host;
  const std::string_view path = new_path(match, head.path, arena);
  if (authority.empty()) return path;  // an HTTP/1.0 request without Host
  char digits[8] = ":";
  const char* end = digits;
  if (action.port != 0) end = std::to_chars(digits + 1, digits + sizeof digits, action.port).ptr;
  const std::string_view port(digits, static_cast<size_t>(end - digits));
  return join(arena, {scheme, "://", authority, port, path});
}

}  // namespace pillion::route
