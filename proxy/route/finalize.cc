// What a matched route changes in the heads that pass it.
#include "proxy/match/canonical_path.h"
#include "proxy/route/rewrite.h"
#include "proxy/route/route_table.h"

namespace pillion::route {
namespace {

using http::HeaderId;

// Calls apply(level) for the levels that have mutations, in the order in which they take effect:
// the most specific first, so that the least specific wins; or the other way round with
// most_specific_header_mutations_wins.  A weighted cluster comes first in both (as in Envoy 1.40).
template <typename Apply>
void for_each_level(const RouteMatch& match, Apply&& apply) {
  const auto apply_if = [&apply](const LevelMutations* level) {
    if (level != nullptr) apply(*level);
  };
  const RouteTable& table = *match.host->table;
  if (match.weighted != nullptr) apply_if(match.weighted->mutations.get());
  apply_if(table.most_specific_wins() ? table.mutations() : match.route->mutations.get());
  apply_if(match.host->mutations.get());
  apply_if(table.most_specific_wins() ? match.route->mutations.get() : table.mutations());
}

// The last element of a comma-separated list.
std::string_view last_of(std::string_view list) {
  const size_t comma = list.rfind(',');
  return trim(comma == list.npos ? list : list.substr(comma + 1));
}

// All values of x-forwarded-host as one list.
std::string_view forwarded_hosts(const http::Headers& headers) {
  std::string_view list;
  headers.for_each_of(http::header_name(HeaderId::kXForwardedHost), [&](const http::Field& field) {
    list = list.empty() ? field.value : join(headers.arena(), {list, ",", field.value});
  });
  return list;
}

struct Notes {
  bool forwarded;  // append to x-forwarded-host
  bool original;   // x-envoy-original-host
};

// Replaces the authority and tells of the old one.
void set_authority(http::RequestHead& head, std::string_view authority, Notes notes) {
  const std::string_view old = head.authority;
  head.authority = authority;
  if (old.empty()) return;
  if (notes.original) head.headers.set(HeaderId::kXEnvoyOriginalHost, old);
  if (!notes.forwarded) return;
  const std::string_view before = forwarded_hosts(head.headers);
  if (last_of(before) == old) return;
  head.headers.set(HeaderId::kXForwardedHost,
                   before.empty() ? old : join(head.headers.arena(), {before, ",", old}));
}

// The authority that the route gives, before a host is chosen; empty: it stays.
std::string_view new_authority(const Rewrite& rewrite, const http::RequestHead& head) {
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
  const std::string_view authority = new_authority(rewrite, head);
  if (!authority.empty()) {
    set_authority(head, authority, {rewrite.append_x_forwarded_host, envoy_headers});
  } else if (match.weighted != nullptr && !match.weighted->host_rewrite.empty()) {
    head.authority = match.weighted->host_rewrite;  // tells nothing of the old one, as in Envoy
  }
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
                  bool first_attempt, bool envoy_headers) {
  const Rewrite& rewrite = rewrite_of(match);
  if (!rewrite.host_from_upstream || hostname.empty()) return;
  set_authority(head, hostname,
                {rewrite.append_x_forwarded_host && first_attempt, envoy_headers && first_attempt});
}

void finalize_response(const RouteMatch& match, http::ResponseHead& head,
                       const void* format_context) {
  for_each_level(match, [&](const LevelMutations& level) {
    level.response.apply(head.headers, format_context);
  });
}

}  // namespace pillion::route
