// What `pillion explain` tells of a routing decision.
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "proxy/route/route_table.h"

namespace pillion::route {
namespace {

std::string name_of(const Route& route, size_t index) {
  return route.name.empty() ? str("route ", index) : str("route ", index, " (", route.name, ')');
}

std::string action_of(const RouteMatch& match, const http::RequestHead& head) {
  const Route& route = *match.route;
  switch (route.kind) {
    case Route::Kind::kForward: {
      const std::string_view cluster = cluster_name(match, head);
      if (cluster.empty()) return "forwards to the cluster that a header names, which is missing";
      return str("forwards to cluster ", cluster,
                 match.weighted != nullptr ? ", drawn by weight" : "");
    }
    case Route::Kind::kRedirect: {
      Arena arena;
      return str("redirects (", route.redirect->status, ") to ",
                 redirect_location(match, head, arena));
    }
    case Route::Kind::kDirectResponse: {
      // Mostly the body says why.
      const std::string_view body = route.direct_response->body;
      const std::string_view line = trim(body.substr(0, body.find('\n')));
      const std::string status = str("answers ", route.direct_response->status, " itself");
      return line.empty() ? status : str(status, ": ", config::printable(line));
    }
  }
  return {};
}

std::string seconds(Duration d) {
  return d == Duration{} ? std::string("none") : config::format_duration(d);
}

void explain_forward(const ForwardAction& action, std::vector<std::string>& lines) {
  lines.push_back(str("timeout: ", seconds(action.timeout)));
  if (action.idle_timeout) lines.push_back(str("idle timeout: ", seconds(*action.idle_timeout)));
  if (action.max_stream_duration) {
    lines.push_back(str("longest stream: ", seconds(*action.max_stream_duration)));
  }
  const RetryPolicy* retry = action.retry.get();
  if (retry != nullptr && retry->per_try_timeout != Duration{}) {
    lines.push_back(str("timeout of one try: ", seconds(retry->per_try_timeout)));
  }
  if (retry == nullptr || retry->tokens == 0) return lines.push_back("retries: none");
  std::string text = str("retries: ", retry->num_retries, " on");
  for (size_t i = 0; i < std::size(kRetryWords); ++i) {
    if ((retry->tokens >> i & 1) != 0) text += str(' ', kRetryWords[i]);
  }
  for (const uint16_t code : retry->status_codes) text += str(' ', code);
  lines.push_back(std::move(text));
}

// Why `route` is not taken; empty if it is.
std::string why_not(const Route& route, std::string_view path, const http::RequestHead& head,
                    uint64_t random) {
  if (!route.path.matches(path)) return route.path.describe();
  return route.conditions ? route.conditions->why_not(head, random) : std::string();
}

}  // namespace

std::vector<std::string> RouteTable::explain(const http::RequestHead& head, uint64_t random,
                                             bool tls) const {
  std::vector<std::string> lines;
  const std::string_view authority = matched_authority(head);
  const auto hit = parts_.domains.explain(authority);
  if (!hit) {
    lines.push_back(
        str("virtual host: none has a domain for \"", authority, "\"; the answer is 404"));
    return lines;
  }
  const VirtualHost& host = parts_.hosts[hit->host];
  const bool is_last = hit->domain == "*";
  lines.push_back(is_last ? str("virtual host: ", host.name,
                                ", the one for \"*\", because no other has a domain "
                                "for \"",
                                authority, '"')
                          : str("virtual host: ", host.name, ", because its domain \"", hit->domain,
                                "\" fits \"", authority, '"'));
  const RouteMatch match = this->match(head, random, tls);
  const std::string_view path = matched_path(head);
  for (size_t i = 0; i < host.routes.size() && match.route != &https_redirect_; ++i) {
    const Route& route = host.routes[i];
    if (&route == match.route) {
      const std::string conditions = route.conditions ? route.conditions->describe() : "";
      lines.push_back(str(name_of(route, i), ": taken, because the path fits ",
                          route.path.describe(), conditions.empty() ? "" : " and ", conditions));
      break;
    }
    lines.push_back(
        str(name_of(route, i), ": not taken, it wants ", why_not(route, path, head, random)));
  }
  if (!match) {
    lines.push_back(str("route: none of ", host.routes.size(), " fits; the answer is 404"));
    return lines;
  }
  if (match.route == &https_redirect_) lines.push_back("the virtual host requires TLS");
  lines.push_back(str("action: ", action_of(match, head)));
  if (match.route->forward) explain_forward(*match.route->forward, lines);
  return lines;
}

}  // namespace pillion::route
