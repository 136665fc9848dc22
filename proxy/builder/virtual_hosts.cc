#include "proxy/builder/virtual_hosts.h"

#include <algorithm>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/builder/settle.h"
#include "proxy/config/suggest.h"

namespace pillion {
namespace {

bool has_vhds(const std::shared_ptr<const CompiledRoutes>& routes) {
  return routes != nullptr && routes->table->has_vhds();
}

std::vector<std::shared_ptr<const route::VirtualHost>> hosts_of(
    const Pieces<CompiledVirtualHost>& pieces, std::string_view table) {
  std::vector<std::shared_ptr<const route::VirtualHost>> hosts;
  for_each_virtual_host(pieces, table, [&hosts](const auto&, const auto& compiled) {
    hosts.push_back(compiled->host);
  });
  return hosts;
}

}  // namespace

std::string_view table_of_host(std::string_view name) {
  const size_t slash = name.rfind('/');
  return slash == name.npos || slash + 1 == name.size() ? std::string_view()
                                                        : name.substr(0, slash);
}

uint32_t reply_limit(const Resources& resources) {
  std::optional<uint32_t> limit;
  for (const auto& [name, piece] : resources.routes)
    if (has_vhds(piece.newest))
      limit = std::max(limit.value_or(0), piece.newest->table->max_direct_response_bytes());
  return limit.value_or(4096);
}

bool has_vhds(const Resources& resources) {
  return std::ranges::any_of(resources.routes, [](const auto& item) {
    return has_vhds(item.second.newest) || has_vhds(item.second.active);
  });
}

bool has_vhds(const Resources& resources, std::string_view table) {
  const auto it = resources.routes.find(table);
  return it != resources.routes.end() &&
         (has_vhds(it->second.newest) || has_vhds(it->second.active));
}

std::vector<SecondClaim> refuse_equal_domains(Pieces<CompiledVirtualHost>& hosts,
                                              const Pieces<CompiledVirtualHost>& before,
                                              const std::string& version) {
  return refuse_second_claims(
      hosts, before, version,
      [](const std::string& name, const CompiledVirtualHost& value, auto&& claim) {
        for (const std::string& domain : value.host->domains)
          claim({std::string(table_of_host(name)), domain}, value.host->name);
      },
      [](const std::string& name, const std::vector<std::string>& claim, const std::string& owner) {
        return str("vhds/", config::printable(name), ": domains: \"", config::printable(claim[1]),
                   "\" is already one of virtual host \"", config::printable(owner), "\"\n");
      });
}

void join_virtual_hosts(Resources& resources, Names& changed) {
  Names names = changed;
  for (const auto& item : resources.joined_routes) names.insert(item.first);
  for (const std::string& name : names) {
    const auto former = resources.joined_routes.find(name);
    const bool is_joined = former != resources.joined_routes.end();
    const auto it = resources.routes.find(name);
    if (it == resources.routes.end() || !has_vhds(it->second.active)) {
      if (is_joined) resources.joined_routes.erase(name);
      continue;
    }
    const std::shared_ptr<const route::RouteTable>& base = it->second.active->table;
    auto hosts = hosts_of(resources.virtual_hosts, name);
    if (is_joined && former->second->base == base && former->second->hosts == hosts) continue;
    auto table = hosts.empty() ? base : base->with_hosts(hosts);
    resources.joined_routes[name] = std::make_shared<const JoinedRoutes>(
        JoinedRoutes{base, std::move(hosts), std::move(table)});
    changed.insert(name);
  }
}

bool touches_vhds(const Resources& before, const Resources& after) {
  bool touches = false;
  diff(
      before.routes, after.routes,
      [&touches](std::string_view, const Piece<CompiledRoutes>* a, const Piece<CompiledRoutes>* b) {
        for (const Piece<CompiledRoutes>* piece : {a, b})
          touches |= piece != nullptr && (has_vhds(piece->newest) || has_vhds(piece->active));
      });
  return touches;
}

WantedNames wanted_virtual_hosts(const Resources& resources, const std::set<std::string>& names) {
  WantedNames wanted;
  std::optional<Wanted> how;
  for (const auto& [name, piece] : resources.routes) {
    for (const auto& end : {piece.newest, piece.active})
      if (has_vhds(end)) how = Wanted{end->table->vhds_timeout(), end->table->vhds_source()};
  }
  if (!how) return wanted;
  wanted.emplace("*", *how);
  for (const std::string& name : names)
    if (has_vhds(resources, table_of_host(name))) wanted.emplace(name, *how);
  return wanted;
}

std::set<std::pair<std::string, std::string>> users_of_vhds(const Resources& resources) {
  std::set<std::pair<std::string, std::string>> out;
  if (!has_vhds(resources)) return out;
  for (const auto& [table, users] : route_users(resources)) {
    if (!has_vhds(resources, table)) continue;
    for (const std::string_view prefix : users) out.emplace(prefix, table);
  }
  return out;
}

void VhdsStats::keep(const Resources& resources) {
  const auto users = users_of_vhds(resources);
  std::erase_if(counted_,
                [&resources](const auto& item) { return !has_vhds(resources, item.first); });
  SourceStats::keep(users, [this](const auto& user) {
    return registry_.block<stats::VhdsStats>(stats::kControl, user.first, user.second);
  });
}

void VhdsStats::on_taken(const Resources& resources, Duration took) {
  SourceStats::on_taken(took);
  std::set<std::string> changed;
  for (const auto& [name, joined] : resources.joined_routes)
    if (std::exchange(counted_[name], joined) != joined) changed.insert(name);
  SourceStats::for_each([&](const auto& user, stats::VhdsStats& block) {
    const auto joined = resources.joined_routes.find(user.second);
    if (joined == resources.joined_routes.end()) return;
    if (joined->second->hosts.empty()) block.update_empty.inc();
    if (changed.contains(user.second)) block.config_reload.inc();
  });
}

}  // namespace pillion
