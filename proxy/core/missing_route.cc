#include "proxy/core/missing_route.h"

#include <algorithm>

#include "proxy/base/ascii.h"

namespace pillion::core {
namespace {

// "<table>/<host>", as Envoy names it: the host in lower case, with its port if the table minds it.
RouteWish missing_host(const route::RouteTable& table, const http::RequestHead& head) {
  const std::string_view host = table.matched_authority(head);
  if (!table.has_vhds() || !is_askable_host(host) || table.has_domain(host)) return {};
  const size_t size = table.name().size() + 1 + host.size();
  char* const text = head.headers.arena().allocate_array<char>(size);
  char* at = std::copy(table.name().begin(), table.name().end(), text);
  *at++ = '/';
  std::transform(host.begin(), host.end(), at, to_lower);
  return {RouteKind::kVirtualHost, {text, size}};
}

}  // namespace

RouteWish missing_route(const HcmConfig& config, const http::RequestHead& head) {
  if (config.scoped == nullptr) return missing_host(*config.routes, head);
  const route::ScopeTable::Scope* scope = config.scope_of(head);
  if (scope == nullptr) return {};
  if (scope->table != nullptr) return missing_host(*scope->table, head);
  if (!scope->config->on_demand) return {};
  return {RouteKind::kTable, head.headers.arena().copy(scope->config->rds_name)};
}

}  // namespace pillion::core
