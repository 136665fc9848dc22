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

std::set<std::pair<std::string, std::string>> users_of_vhds(const Resources& resources) {
  std::set<std::pair<std::string, std::string>> out;
  if (!has_vhds(resources)) return out;
  for (const auto& [table, users] : route_users(resources)) {
    if (!has_vhds(resources, table)) continue;
    for (const std::string_view prefix : users) out.emplace(prefix, table);
  }
  return out;
}

void VhdsStats::change(const Names& tables, const Resources& resources,
                       const ResourceUsers& users) {
  for (const std::string& table : tables) {
    Names now;
    if (const auto it = users.find(table); it != users.end() && has_vhds(resources, table))
      now.insert(it->second.begin(), it->second.end());
    const Names before = std::exchange(users_[table], now);
    if (now.empty()) users_.erase(table);
    for (const std::string& prefix : before)
      if (!now.contains(prefix)) drop({prefix, table});
    for (const std::string& prefix : now)
      if (!before.contains(prefix))
        add({prefix, table}, registry_.block<stats::VhdsStats>(stats::kControl, prefix, table));
  }
}

void VhdsStats::on_taken(const Resources& resources, Duration took) {
  SourceStats::on_taken(took);
  std::set<std::string_view> changed;
  diff(counted_, resources.joined_routes, [&changed](std::string_view name, auto* a, auto* b) {
    if (b != nullptr && (a == nullptr || *a != *b)) changed.insert(name);
  });
  SourceStats::for_each([&](const auto& user, stats::VhdsStats& block) {
    const auto joined = resources.joined_routes.find(user.second);
    if (joined == resources.joined_routes.end()) return;
    if (joined->second->hosts.empty()) block.update_empty.inc();
    if (changed.contains(user.second)) block.config_reload.inc();
  });
  counted_ = resources.joined_routes;
}

}  // namespace pillion
