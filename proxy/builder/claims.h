#pragma once
// Pieces that claim what only one of them can have: the key of a scope, a domain of a route table.
// Internal to the builder.

#include <map>
#include <set>
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

// Who has which claim: owners, which several pieces may share.  Those that stay have theirs for
// good; those that have changed lose theirs to them.
class ClaimTable {
 public:
  using Claim = std::vector<std::string>;

  // For a piece that stays.  Changed ones that have it with another owner lose it: `losers` gets
  // their names.
  void fix(const Claim& claim, const std::string& owner, std::set<std::string>& losers);
  // For a changed piece; the owner that has it, if that is another one.
  const std::string* take(const Claim& claim, const std::string& owner, const std::string& name);
  // The changed piece has it no more.
  void drop(const Claim& claim, const std::string& name);

 private:
  struct Held {
    std::string owner;
    bool is_fixed = false;
    std::set<std::string> by;  // changed pieces
  };
  std::map<Claim, Held> held_;
};

// Takes back each change that claims what another piece has, above all one that had it before: the
// piece becomes what it was in `before`, with the error tell(name, claim, owner).  One that goes
// back has what it had, and who has taken that goes back as well.  Looks at all pieces once: these
// are some thousands, and only looked at when one has changed.
//   claims_of(name, value, fn): calls fn(claim, owner) for each; equal owners may share a claim
//   owners: of claims that were made elsewhere
template <typename T, typename ClaimsOf, typename Tell>
std::vector<SecondClaim> refuse_second_claims(
    Pieces<T>& pieces, const Pieces<T>& before, const std::string& version, ClaimsOf&& claims_of,
    Tell&& tell, const std::map<ClaimTable::Claim, std::string>& owners = {}) {
  using Claim = ClaimTable::Claim;
  ClaimTable table;
  std::set<std::string> losers;
  const auto fix = [&](const std::string& name, const T& value) {
    claims_of(name, value, [&](const Claim& claim, const std::string& owner) {
      table.fix(claim, owner, losers);
    });
  };
  for (const auto& [claim, owner] : owners) table.fix(claim, owner, losers);
  std::vector<std::string> changed;
  for (const auto& [name, piece] : pieces) {
    if (piece.newest == nullptr) continue;
    const auto former = before.find(name);
    const bool has_changed = former == before.end() || former->second.newest != piece.newest;
    if (has_changed) {
      changed.push_back(name);
    } else {
      fix(name, *piece.newest);
    }
  }
  std::vector<SecondClaim> refused;
  const auto try_one = [&](const std::string& name) {
    const std::shared_ptr<const T> value = pieces.find(name)->second.newest;
    std::string wrong;
    claims_of(name, *value, [&](const Claim& claim, const std::string& owner) {
      const std::string* other = table.take(claim, owner, name);
      if (other != nullptr && wrong.empty()) wrong = tell(name, claim, *other);
    });
    if (wrong.empty()) return;
    claims_of(name, *value,
              [&](const Claim& claim, const std::string&) { table.drop(claim, name); });
    const auto former = before.find(name);
    Piece<T> back;
    if (former != before.end()) back = former->second;
    if (back.newest != nullptr) fix(name, *back.newest);
    back.error = admin::ConfigFailure{wall_now(), version, wrong};
    pieces[name] = std::move(back);
    refused.push_back({name, std::move(wrong)});
  };
  for (const std::string& name : changed) {
    try_one(name);
    while (!losers.empty()) try_one(losers.extract(losers.begin()).value());
  }
  return refused;
}

}  // namespace pillion
