#include "filters/rbac/match_tree.h"

#include <algorithm>
#include <charconv>

#include "filters/rbac/rules.h"

namespace pillion::filters::rbac {
namespace {

std::string_view pseudo_value(std::string_view name, const http::RequestHead& head) {
  if (name == ":method") return head.method_text;
  if (name == ":path") return head.path;
  if (name == ":scheme") return head.scheme;
  return head.authority;  // :authority, host
}

const io::Address& address_of(const core::ConnectionInfo& connection, bool is_local,
                              bool is_direct) {
  if (is_local) return connection.local;
  return is_direct ? connection.direct_remote() : connection.remote;
}

}  // namespace

// fn(value) for each value of the input; not at all if there is none.
template <typename Fn>
void MatchTree::each_value(const Input& input, const Facts& facts, Fn&& fn) {
  using Kind = Input::Kind;
  const auto give = [&fn](std::string_view value) {
    fn(value);
    return false;
  };
  const io::PeerIdentity* peer = facts.peer();
  switch (input.kind) {
    case Kind::kDestinationIp:
    case Kind::kSourceIp:
    case Kind::kDirectSourceIp: {
      const io::Address& address = address_of(facts.connection, input.kind == Kind::kDestinationIp,
                                              input.kind == Kind::kDirectSourceIp);
      char text[io::Address::kMaxText];
      if (address.is_ip()) fn(std::string_view(text, address.format(text, false)));
      return;
    }
    case Kind::kDestinationPort:
    case Kind::kSourcePort: {
      const io::Address& address =
          address_of(facts.connection, input.kind == Kind::kDestinationPort, false);
      char digits[8];
      const char* end = std::to_chars(digits, digits + sizeof digits, address.port()).ptr;
      if (address.is_ip()) fn(std::string_view(digits, static_cast<size_t>(end - digits)));
      return;
    }
    case Kind::kServerName:
      if (!facts.server_name.empty()) fn(facts.server_name);
      return;
    case Kind::kUriSan:
      if (peer != nullptr) (void)any_name(*peer, &io::PeerCertificate::uri_sans, give);
      return;
    case Kind::kDnsSan:
      if (peer != nullptr) (void)any_name(*peer, &io::PeerCertificate::dns_sans, give);
      return;
    case Kind::kSubject:
      if (peer != nullptr && !peer->subject.empty()) fn(peer->subject);
      return;
    case Kind::kHeader:
      break;
  }
  if (facts.request == nullptr) return;
  if (input.header.starts_with(':') || input.header == "host") {
    const std::string_view value = pseudo_value(input.header, *facts.request);
    if (!value.empty()) fn(value);
    return;
  }
  facts.request->headers.for_each_of(input.header, [&](const http::Field& f) { fn(f.value); });
}

bool MatchTree::holds(const Predicate& p, const Facts& facts, Nameless nameless) noexcept {
  using Kind = Predicate::Kind;
  const auto part_holds = [&](const auto& part) { return holds(part, facts, nameless); };
  switch (p.kind) {
    case Kind::kAnd:
      return std::ranges::all_of(p.parts, part_holds);
    case Kind::kOr:
      return std::ranges::any_of(p.parts, part_holds);
    case Kind::kNot:
      return !part_holds(p.parts.front());
    case Kind::kIp: {
      using Of = Input::Kind;
      const io::Address& address = address_of(facts.connection, p.input.kind == Of::kDestinationIp,
                                              p.input.kind == Of::kDirectSourceIp);
      return std::ranges::any_of(p.ranges,
                                 [&](const auto& range) { return range.contains(address); });
    }
    case Kind::kValue:
      break;
  }
  const bool asks_name = p.input.kind == Input::Kind::kUriSan ||
                         p.input.kind == Input::Kind::kDnsSan ||
                         p.input.kind == Input::Kind::kSubject;
  if (asks_name && facts.peer() == nullptr)
    return p.is_negated && nameless == Nameless::kMayBeAnybody;
  bool matched = false;
  each_value(p.input, facts,
             [&](std::string_view value) { matched = matched || p.value.matches(value); });
  return matched;
}

uint32_t MatchTree::follow(const OnMatch& to, const Facts& facts) const noexcept {
  return to.branch != nullptr ? find_in(*to.branch, facts) : to.leaf;
}

uint32_t MatchTree::find_in(const Branch& branch, const Facts& facts) const noexcept {
  if (branch.is_map) return find_in_map(branch, facts);
  for (const Field& field : branch.fields) {
    const bool is_certain = holds(field.predicate, facts, Nameless::kMayBeAnybody);
    if (!is_certain &&
        (facts.peer() != nullptr || !holds(field.predicate, facts, Nameless::kHasNone)))
      continue;
    // A branch that leads nowhere is as if it were not there.
    const uint32_t found = follow(field.then, facts);
    if (is_certain ? found != kNoPolicy : denies(found)) return found;
  }
  return follow(branch.otherwise, facts);
}

bool MatchTree::denies(uint32_t leaf) const noexcept {
  return leaf != kNoPolicy && leaves_[leaf].action == Action::kDeny;
}

int MatchTree::badness(uint32_t leaf) const noexcept {
  if (leaf == kNoPolicy) return 1;
  return denies(leaf) ? 2 : 0;
}

uint32_t MatchTree::find_in_map(const Branch& branch, const Facts& facts) const noexcept {
  uint32_t worst = kNoPolicy;
  bool is_first = true;
  each_value(branch.input, facts, [&](std::string_view value) {
    uint32_t leaf = look_up(branch, value, facts);
    if (leaf == kNoPolicy) leaf = follow(branch.otherwise, facts);
    if (std::exchange(is_first, false) || badness(leaf) > badness(worst)) worst = leaf;
  });
  return is_first ? follow(branch.otherwise, facts) : worst;
}

uint32_t MatchTree::look_up(const Branch& branch, std::string_view value,
                            const Facts& facts) const noexcept {
  if (!branch.is_prefix) {
    const auto found = std::ranges::lower_bound(
        branch.map, value, {}, [](const auto& entry) { return std::string_view(entry.first); });
    if (found == branch.map.end() || found->first != value) return kNoPolicy;
    return follow(found->second, facts);
  }
  // Prefixes of one text are sorted by their length.
  for (auto entry = branch.map.rbegin(); entry != branch.map.rend(); ++entry) {
    if (!value.starts_with(entry->first)) continue;
    if (const uint32_t leaf = follow(entry->second, facts); leaf != kNoPolicy) return leaf;
  }
  return kNoPolicy;
}

uint32_t MatchTree::find(const Facts& facts) const noexcept { return find_in(root_, facts); }

}  // namespace pillion::filters::rbac
