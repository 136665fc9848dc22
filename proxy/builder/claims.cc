#include "proxy/builder/claims.h"

namespace pillion {

void ClaimTable::fix(const Claim& claim, const std::string& owner, std::set<std::string>& losers) {
  Held& held = held_[claim];
  if (held.is_fixed) return;
  held.is_fixed = true;
  if (held.owner == owner) return;
  losers.merge(held.by);
  held = {owner, true, {}};
}

const std::string* ClaimTable::take(const Claim& claim, const std::string& owner,
                                    const std::string& name) {
  const auto [it, is_new] = held_.try_emplace(claim);
  Held& held = it->second;
  if (is_new) held.owner = owner;
  if (held.owner != owner) return &held.owner;
  held.by.insert(name);
  return nullptr;
}

void ClaimTable::drop(const Claim& claim, const std::string& name) {
  const auto it = held_.find(claim);
  if (it == held_.end()) return;
  it->second.by.erase(name);
  if (!it->second.is_fixed && it->second.by.empty()) held_.erase(it);
}

}  // namespace pillion
