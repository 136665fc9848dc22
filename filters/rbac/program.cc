#include "filters/rbac/program.h"

namespace pillion::filters::rbac {

bool Program::names_match(const Step& step, const Facts& facts) const noexcept {
  const io::PeerIdentity* peer = facts.peer();
  if (peer == nullptr) return step.if_nameless;
  const match::StringMatcher& name = strings_[step.index];
  const auto matches = [&name](std::string_view text) { return name.matches(text); };
  switch (step.op) {
    case Op::kUriSan:
      return any_name(*peer, &io::PeerCertificate::uri_sans, matches);
    case Op::kDnsSan:
      return any_name(*peer, &io::PeerCertificate::dns_sans, matches);
    default:
      return any_principal(*peer, matches);
  }
}

// A CONNECT has no path, and nothing matches it.  "OPTIONS *" asks about the server as a whole:
// what is said of all that begins with "/" is said of it, but not what is said of "/" alone.
bool Program::path_matches(const match::StringMatcher& matcher, std::string_view path) noexcept {
  using Kind = match::StringMatcher::Kind;
  if (path.empty()) return false;
  if (matcher.matches(path)) return true;
  return path == "*" && matcher.kind() != Kind::kExact && matcher.kind() != Kind::kSuffix &&
         matcher.matches("/");
}

bool Program::holds(uint32_t at, const Facts& facts) const noexcept {
  const Step& step = steps_[at];
  const core::ConnectionInfo& connection = facts.connection;
  switch (step.op) {
    case Op::kAny:
      return true;
    case Op::kAnd:
      for (uint32_t i = at + 1; i < step.end; i = steps_[i].end) {
        if (!holds(i, facts)) return false;
      }
      return true;
    case Op::kOr:
      for (uint32_t i = at + 1; i < step.end; i = steps_[i].end) {
        if (holds(i, facts)) return true;
      }
      return false;
    case Op::kNot:
      return !holds(at + 1, facts);
    case Op::kHeader:
      return facts.request != nullptr && headers_[step.index].matches(*facts.request);
    case Op::kPath:
      return path_matches(strings_[step.index], facts.path);
    case Op::kDestinationIp:
      return ranges_[step.index].contains(connection.local);
    case Op::kDestinationPort: {
      const uint32_t port = connection.local.port();
      const PortRange range = ports_[step.index];
      return connection.local.is_ip() && port >= range.begin && port < range.end;
    }
    case Op::kServerName:
      return strings_[step.index].matches(facts.server_name);
    case Op::kMetadata: {
      static const core::Metadata kNone;
      return metadata_[step.index].matches(facts.stream ? facts.stream->metadata : kNone);
    }
    case Op::kFilterState: {
      const core::FilterState* state = facts.stream ? facts.stream->filter_state : nullptr;
      const StateMatcher& matcher = states_[step.index];
      while (state != nullptr && state->key != matcher.key) state = state->next;
      return state != nullptr && matcher.value.matches(state->value);
    }
    case Op::kAuthenticated:
      return facts.peer() != nullptr;
    case Op::kPrincipal:
    case Op::kUriSan:
    case Op::kDnsSan:
      return names_match(step, facts);
    case Op::kRemoteIp:
      return ranges_[step.index].contains(connection.remote);
    case Op::kDirectRemoteIp:
      return ranges_[step.index].contains(connection.direct_remote());
  }
  return false;
}

bool Program::find_only_texts(uint32_t at, Op op, std::vector<std::string_view>& texts) const {
  const Step& step = steps_[at];
  if (step.op == op) {
    const std::string* text = strings_[step.index].only_text();
    // Where the nameless match too, the name does not decide.
    if (text == nullptr || step.if_nameless) return false;
    texts.push_back(*text);
    return true;
  }
  if (step.op == Op::kOr) {
    for (uint32_t i = at + 1; i < step.end; i = steps_[i].end) {
      if (!find_only_texts(i, op, texts)) return false;
    }
    return at + 1 < step.end;
  }
  if (step.op == Op::kAnd) {
    const size_t before = texts.size();
    for (uint32_t i = at + 1; i < step.end; i = steps_[i].end) {
      if (find_only_texts(i, op, texts)) return true;
      texts.resize(before);
    }
  }
  return false;
}

}  // namespace pillion::filters::rbac
