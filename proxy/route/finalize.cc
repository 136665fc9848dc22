// What a matched route changes in the heads that pass it.
#include "proxy/match/canonical_path.h"
#include "proxy/route/rewrite.h"
#include "proxy/route/route_table.h"

namespace pillion::route {
namespace {

using http::HeaderId;

// Calls apply(level) for the levels that have mutations, in the order in which they take effect:
// the most specific first, so that the least specific wins; or the other way round with
// most_specific_header_mutations_wins.
template <typename Apply>
void for_each_level(const RouteMatch& match, Apply&& apply) {
  const LevelMutations* levels[] = {
      match.weighted != nullptr ? match.weighted->mutations.get() : nullptr,
      match.route->mutations.get(), match.host->mutations.get(), match.host->table->mutations()};
  constexpr size_t kCount = std::size(levels);
  for (size_t i = 0; i < kCount; ++i) {
    const LevelMutations* level =
        levels[match.host->table->most_specific_wins() ? kCount - 1 - i : i];
    if (level != nullptr) apply(*level);
  }
}

// The last element of a comma-separated list.
std::string_view last_of(std::string_view list) {
  const size_t comma = list.rfind(',');
  return trim(comma == list.npos ? list : list.substr(comma + 1));
}

void set_authority(http::RequestHead& head, std::string_view authority, bool append_forwarded) {
  if (append_forwarded && !head.authority.empty()) {
    const std::string_view before = head.headers.get(HeaderId::kXForwardedHost);
    if (before.empty()) {
      head.headers.set(HeaderId::kXForwardedHost, head.authority);
    } else if (last_of(before) != head.authority) {
      head.headers.set(HeaderId::kXForwardedHost,
                       join(head.headers.arena(), {before, ",", head.authority}));
    }
  }
  head.authority = authority;
}

// The authority that the route gives, before a host is chosen; empty: it stays.
std::string_view new_authority(const RouteMatch& match, const Rewrite& rewrite,
                               const http::RequestHead& head) {
  if (match.weighted != nullptr && !match.weighted->host_rewrite.empty()) {
    return match.weighted->host_rewrite;
  }
  if (!rewrite.host.empty()) return rewrite.host;
  if (!rewrite.host_header.empty()) {
    const http::Field* field = head.headers.find(rewrite.host_header);
    return field == nullptr ? std::string_view{} : field->value;
  }
  if (rewrite.host_from_path) {
    return rewrite.host_from_path.apply(match::without_query(head.path), head.headers.arena());
  }
  return {};
}

const Rewrite& rewrite_of(const RouteMatch& match) {
  static const Rewrite none;
  return match.route->forward->rewrite ? *match.route->forward->rewrite : none;
}

void apply_rewrite(const RouteMatch& match, http::RequestHead& head, bool envoy_headers) {
  const Rewrite& rewrite = rewrite_of(match);
  const std::string_view authority = new_authority(match, rewrite, head);
  if (!authority.empty()) set_authority(head, authority, rewrite.append_x_forwarded_host);
  if (head.path.empty() || (rewrite.prefix.empty() && !rewrite.regex)) return;
  const std::string_view before = head.path;
  head.path = rewrite_path(match, before, {rewrite.prefix, rewrite.regex}, head.headers.arena());
  if (envoy_headers) head.headers.set(HeaderId::kXEnvoyOriginalPath, before);
}

}  // namespace

void finalize_request(const RouteMatch& match, http::RequestHead& head, const void* format_context,
                      bool envoy_headers) {
  for_each_level(match, [&](const LevelMutations& level) {
    level.request.apply(head.headers, format_context);
  });
  if (match.route->forward->rewrite || match.weighted != nullptr) {
    apply_rewrite(match, head, envoy_headers);
  }
}

void rewrite_host(const RouteMatch& match, http::RequestHead& head, std::string_view hostname,
                  bool first_attempt) {
  const Rewrite& rewrite = rewrite_of(match);
  if (!rewrite.host_from_upstream || hostname.empty()) return;
  set_authority(head, hostname, rewrite.append_x_forwarded_host && first_attempt);
}

void finalize_response(const RouteMatch& match, http::ResponseHead& head,
                       const void* format_context) {
  for_each_level(match, [&](const LevelMutations& level) {
    level.response.apply(head.headers, format_context);
  });
}

}  // namespace pillion::route
