#include "proxy/control/wanted_hosts.h"

#include <optional>

#include "proxy/base/str.h"
#include "proxy/builder/virtual_hosts.h"

namespace pillion {
namespace {

const std::string kAll = "*";

bool is_same(const Wanted& a, const Wanted& b) {
  return a.timeout == b.timeout && config::is_same_source(a.source, b.source);
}

// That in force says how.
std::optional<Wanted> vhds_of(const Piece<CompiledRoutes>* piece) {
  if (piece == nullptr) return std::nullopt;
  for (const auto& end : {piece->active, piece->newest})
    if (end != nullptr && end->table->has_vhds())
      return Wanted{end->table->vhds_timeout(), end->table->vhds_source()};
  return std::nullopt;
}

}  // namespace

bool WantedHosts::set_table(std::string_view name, const Piece<CompiledRoutes>* piece) {
  const std::optional<Wanted> how = vhds_of(piece);
  const auto known = tables_.find(name);
  if (!how && known == tables_.end()) return false;
  if (!how) {
    tables_.erase(known);
  } else if (known == tables_.end()) {
    tables_.emplace(name, *how);
  } else if (is_same(known->second, *how)) {
    return false;
  } else {
    known->second = *how;
  }
  return true;
}

bool WantedHosts::set(const std::string& name, const Wanted* how) {
  if (how == nullptr) return wanted_.erase(name) != 0;
  const auto [it, is_new] = wanted_.try_emplace(name, *how);
  if (!is_new && is_same(it->second, *how)) return false;
  it->second = *how;
  return true;
}

Names WantedHosts::use(const Resources& before, const Resources& now, const Requested& requested,
                       Names& tables) {
  Names touched;
  diff(before.routes, now.routes, [&](std::string_view name, const auto*, const auto* piece) {
    if (!set_table(name, piece)) return;
    tables.emplace(name);
    const std::string prefix = str(name, '/');
    for (auto it = requested.lower_bound(prefix); it != requested.end() && it->starts_with(prefix);
         ++it)
      touched.insert(*it);
  });
  if (tables.empty()) return touched;
  Names changed = change(touched, requested);
  if (set(kAll, tables_.empty() ? nullptr : &tables_.rbegin()->second)) changed.insert(kAll);
  return changed;
}

Names WantedHosts::change(const Names& names, const Requested& requested) {
  Names changed;
  for (const std::string& name : names) {
    const auto table = tables_.find(table_of_host(name));
    const bool is_wanted = requested.contains(name) && table != tables_.end();
    if (set(name, is_wanted ? &table->second : nullptr)) changed.insert(name);
  }
  return changed;
}

}  // namespace pillion
