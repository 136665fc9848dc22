#pragma once
// Pieces that claim what only one of them can have: the key of a scope, a domain of a route table.
// Internal to the builder.

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/builder/resources.h"

namespace pillion {

// A piece whose change was taken back.
struct SecondClaim {
  std::string name;
  std::string wrong;
};

// Takes back the first change that claims what another piece has, above all one that had it before:
// the piece becomes what it was in `before`, with the error tell(name, claim, owner).  Looks at all
// pieces: these are some thousands, and only looked at when one has changed.
//   claims_of(name, value, fn): calls fn(claim, owner) for each; equal owners may share a claim
//   owners: of claims that were made elsewhere
template <typename T, typename ClaimsOf, typename Tell>
std::optional<SecondClaim> refuse_second_claim(
    Pieces<T>& pieces, const Pieces<T>& before, const std::string& version, ClaimsOf&& claims_of,
    Tell&& tell, std::map<std::vector<std::string>, std::string> owners = {}) {
  const auto has_changed = [&before](const std::string& name, const Piece<T>& piece) {
    const auto former = before.find(name);
    return former == before.end() || former->second.newest != piece.newest;
  };
  using Claim = std::vector<std::string>;
  std::string wrong;
  const auto take = [&](const std::string& name, const T& value) {
    claims_of(name, value, [&](const Claim& claim, const std::string& owner) {
      const auto [it, is_new] = owners.emplace(claim, owner);
      if (!is_new && it->second != owner && wrong.empty()) wrong = tell(name, claim, it->second);
    });
  };
  // Those that stay come first, so that a change loses to them.
  for (const auto& [name, piece] : pieces)
    if (piece.newest != nullptr && !has_changed(name, piece)) take(name, *piece.newest);
  wrong.clear();
  for (const auto& [name, piece] : pieces) {
    if (piece.newest == nullptr || !has_changed(name, piece)) continue;
    take(name, *piece.newest);
    if (wrong.empty()) continue;
    const auto former = before.find(name);
    Piece<T> back;
    if (former != before.end()) back = former->second;
    back.error = admin::ConfigFailure{wall_now(), version, wrong};
    SecondClaim refused{name, std::move(wrong)};
    pieces[refused.name] = std::move(back);
    return refused;
  }
  return std::nullopt;
}

}  // namespace pillion
