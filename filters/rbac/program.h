#pragma once
// Program: permissions and principals (envoy.config.rbac.v3.Permission, Principal), compiled into
// one flat array of steps in prefix order, with the matchers beside it.  Filled by a ProgramParser,
// then immutable and shared by workers; nothing is allocated while it runs.
//
// Negation.  A condition is true or false; what is not there (a header, a claim, a server name)
// makes it false, and not_rule and not_id turn that into true, as in Envoy.  One exception: an
// ALLOW policy with `not_id: { authenticated: { principal_name: X } }` says who asks is somebody
// else than X.  A peer that has not proven who it is could be X, so it does not match there (in
// Envoy it does).  In DENY and LOG policies it does: "all but X are denied" includes the nameless.
// `authenticated` without a name, or with any (".+"), is a plain question about the connection, and
// negated it asks for a peer without a certificate.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "filters/rbac/facts.h"
#include "proxy/config/node.h"
#include "proxy/core/metadata_matcher.h"
#include "proxy/match/cidr.h"
#include "proxy/match/header_value.h"
#include "proxy/match/string.h"

namespace pillion::filters::rbac {

enum class Action : uint8_t { kAllow, kDeny, kLog };
inline constexpr config::EnumRow kActions[] = {{"ALLOW", 0}, {"DENY", 1}, {"LOG", 2}};

enum class Op : uint8_t {
  kAny,
  kAnd,
  kOr,
  kNot,
  kHeader,
  kPath,
  kDestinationIp,
  kDestinationPort,
  kServerName,
  kMetadata,
  kFilterState,
  kAuthenticated,  // whoever it is
  kPrincipal,
  kUriSan,
  kDnsSan,
  kRemoteIp,
  kDirectRemoteIp,
};

class Program {
 public:
  // Of the step at `at` and those below it.
  [[nodiscard]] bool holds(uint32_t at, const Facts& facts) const noexcept;

  // Does the step hold only if `op` (kPath or kPrincipal) is one of a few texts?  They are added.
  bool find_only_texts(uint32_t at, Op op, std::vector<std::string_view>& texts) const;

 private:
  friend class ProgramParser;
  struct Step {
    Op op;
    bool if_nameless;  // the answer for a peer without a proven name
    uint32_t end;      // the step behind this one and those below it
    uint32_t index;    // of its matcher
  };
  struct PortRange {
    uint32_t begin, end;  // [begin, end)
  };
  struct StateMatcher {
    std::string key;
    match::StringMatcher value;
  };

  [[nodiscard]] static bool path_matches(const match::StringMatcher& matcher,
                                         std::string_view path) noexcept;
  [[nodiscard]] bool names_match(const Step& step, const Facts& facts) const noexcept;

  std::vector<Step> steps_;
  std::vector<match::HeaderMatcher> headers_;
  std::vector<match::StringMatcher> strings_;
  std::vector<match::Cidr> ranges_;
  std::vector<PortRange> ports_;
  std::vector<core::MetadataMatcher> metadata_;
  std::vector<StateMatcher> states_;
};

// Where policies are read for: what can be asked there.
enum class Scope : uint8_t { kRequest, kConnection };

// A TypedExtensionConfig; closes it.
config::TypedConfig parse_extension(const config::Node& node);

// Reads conditions into a program.  Errors go to the nodes' lists.
class ProgramParser {
 public:
  ProgramParser(Program& program, Scope scope) : program_(program), scope_(scope) {}

  // A Policy: one of its permissions and one of its principals.  Returns where it begins.  Closes
  // the mapping.
  uint32_t add_policy(const config::Node& policy, Action action);

 private:
  using Node = config::Node;
  using Read = void (ProgramParser::*)(const Node&);
  void add_list(Op op, const Node& list, Read read, std::string_view what);
  void add_set(Op op, const Node& set, std::string_view key, Read read);
  void add_permission(const Node& node);
  void add_principal(const Node& node);
  void add_not(const Node& node, Read read);
  void add_authenticated(const Node& node);
  void add_custom_principal(const Node& node);
  void add_port_range(const Node& node);
  void add_ports(uint32_t begin, uint32_t end);
  void add_cidr(Op op, const Node& node);
  void add_string(Op op, const Node& node);
  void add_header(const Node& node);
  void add_path(const Node& node);
  void add_uri_template(const Node& node);
  void add_metadata(const Node& node);
  void add_sourced_metadata(const Node& node);
  void add_filter_state(const Node& node);
  uint32_t begin(Op op, size_t index = 0);
  void end(uint32_t at);
  void leaf(Op op, size_t index = 0) { end(begin(op, index)); }
  [[nodiscard]] bool needs_request(const Node& node) const;

  Program& program_;
  const Scope scope_;
  Action action_ = Action::kAllow;
  bool is_negated_ = false;  // an odd number of times
};

}  // namespace pillion::filters::rbac
