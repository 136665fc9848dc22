#pragma once
// Engine: rules or a matcher tree, with what verdicts are called in details, logs and counters.
// Immutable, shared by workers.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "filters/rbac/facts.h"
#include "filters/rbac/match_tree.h"
#include "filters/rbac/rules.h"
#include "proxy/config/node.h"

namespace pillion::filters::rbac {

struct Verdict {
  bool allowed = false;
  uint32_t policy = kNoPolicy;        // the one that matched
  std::optional<bool> log_hint = {};  // what LOG says: shall it be logged?
};

class Engine {
 public:
  // Of `rules` or `matcher`, whichever is there (both is an error; Envoy drops the rules); null if
  // neither is, and then all is allowed.  An empty one denies.
  static std::unique_ptr<const Engine> parse(const config::Node& rules, const config::Node& matcher,
                                             Scope scope);

  [[nodiscard]] Verdict judge(const Facts& facts) const noexcept;
  // Empty for kNoPolicy.
  [[nodiscard]] std::string_view policy_name(uint32_t policy) const noexcept;
  // For people: `denied by policy "p"`, `denied: no policy matches`.
  [[nodiscard]] std::string describe(const Verdict& verdict) const;
  // "rbac_access_denied_matched_policy[NAME]".
  [[nodiscard]] std::string_view denial_details(uint32_t policy) const noexcept;

 private:
  using How = std::variant<Rules, MatchTree>;
  explicit Engine(How how);

  How how_;
  std::vector<std::string> details_;  // of the policies, then of none
  bool has_log_ = false;              // the tree has a LOG leaf
};

}  // namespace pillion::filters::rbac
