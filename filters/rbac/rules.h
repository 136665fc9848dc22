#pragma once
// Rules: an envoy.config.rbac.v3.RBAC, compiled: an action and policies, of which the first that
// matches, in the order of their names, counts.  Immutable, shared by workers; nothing is allocated
// for a verdict.
//
// Many policies are found by hash.  One that can only match a request for one of a few paths stands
// in the list of each of them; one that can only match a few principals in theirs; the others in a
// list of their own.  A verdict looks at the lists of the request's path and of the peer's names
// and at the others, merged in order.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "filters/rbac/program.h"
#include "proxy/base/text_map.h"

namespace pillion::filters::rbac {

inline constexpr uint32_t kNoPolicy = UINT32_MAX;

class Rules {
 public:
  // Closes the mapping.
  Rules(const config::Node& node, Scope scope);

  [[nodiscard]] Action action() const noexcept { return action_; }
  // Sorted.
  [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }
  // The index of the policy that matches, or kNoPolicy.
  [[nodiscard]] uint32_t find(const Facts& facts) const noexcept;

 private:
  using List = std::vector<uint32_t>;
  using Lists = TextMap<List>;

  void make_index();
  bool add_to_index(Op op, uint32_t policy, Lists& lists);
  [[nodiscard]] uint32_t find_in_order(const Facts& facts) const noexcept;
  [[nodiscard]] bool matches(uint32_t policy, const Facts& facts) const noexcept {
    return program_.holds(roots_[policy], facts);
  }

  Action action_ = Action::kAllow;
  Program program_;
  std::vector<std::string> names_;
  std::vector<uint32_t> roots_;  // in the program
  bool is_indexed_ = false;
  Lists by_path_;
  Lists by_principal_;
  List others_;
};

}  // namespace pillion::filters::rbac
