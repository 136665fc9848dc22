#pragma once
// MatchTree: the matcher form of a policy: xds.type.matcher.v3.Matcher whose leaves are
// envoy.config.rbac.v3.Action.  Immutable, shared by workers; nothing is allocated for a verdict.
//
// A header that is repeated, and further names in a certificate, are matched value by value: a
// predicate holds if one of them matches; of a map the worst answer counts, DENY before no match
// before the others.  (Envoy joins them by commas, and the joined text matches nothing.)
//
// A peer whose name nobody has proven may be anybody (program.h says why).  Where a predicate holds
// only because he has no name (`not_matcher` of one), the branch is followed for its DENY alone;
// what else it leads to is not for him, and the search goes on behind it.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "filters/rbac/facts.h"
#include "filters/rbac/program.h"
#include "proxy/config/node.h"
#include "proxy/match/cidr.h"
#include "proxy/match/string.h"

namespace pillion::filters::rbac {

class MatchTree {
 public:
  // Closes the mapping.
  MatchTree(const config::Node& node, Scope scope);

  struct Leaf {
    std::string name;
    Action action = Action::kAllow;
  };
  [[nodiscard]] const std::vector<Leaf>& leaves() const noexcept { return leaves_; }
  // The leaf that the facts lead to, or kNoPolicy (rules.h).
  [[nodiscard]] uint32_t find(const Facts& facts) const noexcept;

 private:
  friend class MatchTreeParser;
  struct Input {
    enum class Kind : uint8_t {
      kDestinationIp,
      kDestinationPort,
      kSourceIp,
      kSourcePort,
      kDirectSourceIp,
      kServerName,
      kUriSan,
      kDnsSan,
      kSubject,
      kHeader,
    };
    Kind kind = Kind::kServerName;
    std::string header;  // lower case, or a pseudo-header
  };
  struct Predicate {
    enum class Kind : uint8_t { kValue, kIp, kAnd, kOr, kNot };
    Kind kind = Kind::kOr;    // of nothing: never holds
    bool is_negated = false;  // an odd number of times
    Input input;
    match::StringMatcher value;
    std::vector<match::Cidr> ranges;  // of kIp
    std::vector<Predicate> parts;
  };
  struct Branch;
  struct OnMatch {
    std::unique_ptr<Branch> branch;  // or
    uint32_t leaf = UINT32_MAX;
  };
  struct Field {
    Predicate predicate;
    OnMatch then;
  };
  // A Matcher: a list, or a map.
  struct Branch {
    std::vector<Field> fields;
    bool is_map = false;
    bool is_prefix = false;
    Input input;
    std::vector<std::pair<std::string, OnMatch>> map;  // sorted by key
    OnMatch otherwise;
  };

  template <typename Fn>
  static void each_value(const Input& input, const Facts& facts, Fn&& fn);
  // Of a peer without a proven name: does he have none of those that are asked for (Envoy's
  // meaning), or may he have each?
  enum class Nameless : uint8_t { kHasNone, kMayBeAnybody };
  [[nodiscard]] static bool holds(const Predicate& predicate, const Facts& facts,
                                  Nameless nameless) noexcept;
  [[nodiscard]] uint32_t follow(const OnMatch& to, const Facts& facts) const noexcept;
  [[nodiscard]] uint32_t find_in(const Branch& branch, const Facts& facts) const noexcept;
  [[nodiscard]] uint32_t find_in_map(const Branch& branch, const Facts& facts) const noexcept;
  [[nodiscard]] uint32_t look_up(const Branch& branch, std::string_view value,
                                 const Facts& facts) const noexcept;
  [[nodiscard]] bool denies(uint32_t leaf) const noexcept;
  [[nodiscard]] int badness(uint32_t leaf) const noexcept;

  Branch root_;
  std::vector<Leaf> leaves_;
};

}  // namespace pillion::filters::rbac
