#include "filters/rbac/rules.h"

#include <algorithm>

namespace pillion::filters::rbac {
namespace {

using config::EnumRow;
using config::Node;
using config::Unknown;

constexpr EnumRow kAuditConditions[] = {
    {"NONE", 0},
    {"ON_DENY", 1, "audit loggers come with a later version"},
    {"ON_ALLOW", 2, "audit loggers come with a later version"},
    {"ON_DENY_AND_ALLOW", 3, "audit loggers come with a later version"}};

// Fewer are looked at one after the other.
constexpr size_t kIndexedFrom = 8;
// Texts of one policy; one with more is looked at always.
constexpr size_t kMaxTexts = 64;

void parse_audit(const Node& node) {
  (void)node["audit_condition"].as_enum_or<int>(0, kAuditConditions);
  node.ignore({"logger_configs"});  // never called
  node.reject_unknown_keys(Unknown::kAlwaysError);
}

}  // namespace

Rules::Rules(const Node& node, Scope scope) {
  action_ = node["action"].as_enum_or(Action::kAllow, kActions);
  std::vector<config::Entry> policies;
  for (const config::Entry entry : node["policies"].entries()) policies.push_back(entry);
  std::ranges::sort(policies, {}, &config::Entry::key);
  ProgramParser parser(program_, scope);
  for (const config::Entry& entry : policies) {
    names_.emplace_back(entry.key);
    roots_.push_back(parser.add_policy(entry.node, action_));
  }
  parse_audit(node["audit_logging_options"]);
  node.reject_unknown_keys(Unknown::kAlwaysError);
  // A program with errors is not run.
  if (names_.size() >= kIndexedFrom && node.errors()->ok()) make_index();
}

bool Rules::add_to_index(Op op, uint32_t policy, Lists& lists) {
  std::vector<std::string_view> texts;
  if (!program_.find_only_texts(roots_[policy], op, texts) || texts.size() > kMaxTexts)
    return false;
  for (const std::string_view text : texts) {
    List& list = lists[std::string(text)];
    if (list.empty() || list.back() != policy) list.push_back(policy);
  }
  return true;
}

void Rules::make_index() {
  is_indexed_ = true;
  for (uint32_t i = 0; i < roots_.size(); ++i) {
    if (add_to_index(Op::kPath, i, by_path_)) continue;
    if (add_to_index(Op::kPrincipal, i, by_principal_)) continue;
    others_.push_back(i);
  }
}

uint32_t Rules::find_in_order(const Facts& facts) const noexcept {
  for (uint32_t i = 0; i < roots_.size(); ++i) {
    if (matches(i, facts)) return i;
  }
  return kNoPolicy;
}

uint32_t Rules::find(const Facts& facts) const noexcept {
  if (!is_indexed_) return find_in_order(facts);
  constexpr size_t kMaxLists = 8;
  std::span<const uint32_t> lists[kMaxLists] = {others_};
  size_t count = 1;
  const auto add = [&](const Lists& from, std::string_view text) {
    const auto found = from.find(text);
    if (found == from.end()) return false;
    if (count == kMaxLists) return true;  // too many
    lists[count++] = found->second;
    return false;
  };
  if (!facts.path.empty()) (void)add(by_path_, facts.path);
  if (const io::PeerIdentity* peer = facts.peer(); peer != nullptr && !by_principal_.empty()) {
    if (any_principal(*peer, [&](std::string_view name) { return add(by_principal_, name); }))
      return find_in_order(facts);
  }
  while (true) {
    uint32_t next = kNoPolicy;
    for (size_t i = 0; i < count; ++i) {
      if (!lists[i].empty()) next = std::min(next, lists[i].front());
    }
    if (next == kNoPolicy || matches(next, facts)) return next;
    for (size_t i = 0; i < count; ++i) {
      if (!lists[i].empty() && lists[i].front() == next) lists[i] = lists[i].subspan(1);
    }
  }
}

}  // namespace pillion::filters::rbac
