#include "filters/rbac/engine.h"

#include <algorithm>
#include <utility>

#include "proxy/base/str.h"

namespace pillion::filters::rbac {
namespace {

std::string details_of(std::string_view policy) {
  std::string text = str("rbac_access_denied_matched_policy[", policy, ']');
  // The name of a policy must not add fields to a line of the log, nor lines.
  for (char& c : text) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) c = '_';
  }
  return text;
}

}  // namespace

Engine::Engine(How how) : how_(std::move(how)) {
  if (const Rules* rules = std::get_if<Rules>(&how_)) {
    for (const std::string& name : rules->names()) details_.push_back(details_of(name));
  } else {
    const auto& leaves = std::get<MatchTree>(how_).leaves();
    for (const MatchTree::Leaf& leaf : leaves) details_.push_back(details_of(leaf.name));
    has_log_ = std::ranges::find(leaves, Action::kLog, &MatchTree::Leaf::action) != leaves.end();
  }
  details_.push_back(details_of("none"));
}

std::unique_ptr<const Engine> Engine::parse(const config::Node& rules, const config::Node& matcher,
                                            Scope scope) {
  std::unique_ptr<const Engine> engine;
  if (rules.is_present()) engine.reset(new Engine(Rules(rules, scope)));
  if (matcher.is_present()) engine.reset(new Engine(MatchTree(matcher, scope)));
  return engine;
}

Verdict Engine::judge(const Facts& facts) const noexcept {
  if (const Rules* rules = std::get_if<Rules>(&how_)) {
    const uint32_t policy = rules->find(facts);
    const bool matched = policy != kNoPolicy;
    switch (rules->action()) {
      case Action::kAllow:
        return {matched, policy};
      case Action::kDeny:
        return {!matched, policy};
      case Action::kLog:
        return {true, policy, matched};
    }
    return {};
  }
  const MatchTree& tree = std::get<MatchTree>(how_);
  const uint32_t leaf = tree.find(facts);
  if (leaf == kNoPolicy) return {};
  const Action action = tree.leaves()[leaf].action;
  Verdict verdict{action != Action::kDeny, leaf};
  if (has_log_) verdict.log_hint = action == Action::kLog;
  return verdict;
}

std::string_view Engine::policy_name(uint32_t policy) const noexcept {
  if (policy == kNoPolicy) return {};
  if (const Rules* rules = std::get_if<Rules>(&how_)) return rules->names()[policy];
  return std::get<MatchTree>(how_).leaves()[policy].name;
}

std::string Engine::describe(const Verdict& verdict) const {
  const std::string_view what = verdict.allowed ? "allowed" : "denied";
  if (verdict.policy == kNoPolicy) return str(what, ": no policy matches");
  return str(what, " by policy \"", policy_name(verdict.policy), '"');
}

std::string_view Engine::denial_details(uint32_t policy) const noexcept {
  return policy == kNoPolicy ? details_.back() : details_[policy];
}

}  // namespace pillion::filters::rbac
