// Rules of inbound.authorize that mean nothing, or less than they say: ports that nobody comes by,
// and identities where callers have none.
#include <algorithm>
#include <functional>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/config/mesh_parts.h"

namespace pillion::config {
namespace {

// Where connections come in: a port, or (0) all ports of which nothing is said; and what it takes.
struct Way {
  uint16_t port;
  Mtls mtls;
};

std::vector<Way> ways_in(const Inbound& inbound) {
  if (!inbound.has_other_ports()) return {{inbound.app.port, inbound.mtls}};
  std::vector<Way> ways{{inbound.app.port, inbound.mtls_of(inbound.app.port)}};
  for (const PortRule& rule : inbound.ports) {
    if (rule.port != inbound.app.port) ways.push_back({rule.port, rule.mtls});
  }
  ways.push_back({0, inbound.mtls});
  return ways;
}

bool is_unnamed(uint16_t port, const Inbound& inbound) {
  return port != inbound.app.port &&
         std::ranges::find(inbound.ports, port, &PortRule::port) == inbound.ports.end();
}

// Those that a rule is about.
std::vector<Way> ways_of(const AuthorizeRule& rule, const Inbound& inbound) {
  if (rule.ports.empty() || !inbound.has_other_ports()) return ways_in(inbound);
  std::vector<Way> ways;
  for (const uint16_t port : rule.ports) ways.push_back({port, inbound.mtls_of(port)});
  return ways;
}

std::string name_of(const Way& way, const Inbound& inbound) {
  if (!inbound.has_other_ports()) return "inbound.listen";
  return way.port == 0 ? std::string("each port that inbound.ports does not name")
                       : str("port ", way.port);
}

std::string_view word_of(Mtls mtls) { return mtls == Mtls::kOff ? "off" : "permissive"; }

// ---- ports ----

// False: nobody comes by one of its ports, or what it asks for is not known there.
bool check_ports(const AuthorizeRule& rule, const Inbound& inbound) {
  if (rule.ports.empty()) return true;
  if (inbound.capture == Capture::kOff) {
    const bool is_listen =
        std::ranges::all_of(rule.ports, [&](uint16_t port) { return port == inbound.listen.port; });
    if (!is_listen) {
      rule.ports_node.error(str("with capture: off all that comes, comes to inbound.listen (",
                                inbound.listen.to_string(),
                                "), whatever the app's port is: leave ports out"));
    }
    return is_listen;
  }
  const bool is_judged = !rule.asks_request() || !inbound.has_other_ports() ||
                         std::ranges::find(rule.ports, inbound.app.port) != rule.ports.end();
  if (!is_judged) {
    rule.ports_node.error(
        str("methods, paths and hosts are known of requests to the app only, at port ",
            inbound.app.port, ": add that port, or say only from and ports"));
  }
  return is_judged;
}

// ---- identities ----

// Is there a text that both patterns fit?  A '*' is at the end of paths, at the beginning of hosts.
bool paths_meet(std::string_view a, std::string_view b) {
  const auto fits = [](std::string_view pattern, std::string_view text) {
    if (text.ends_with('*')) text.remove_suffix(1);
    return pattern.ends_with('*') ? text.starts_with(pattern.substr(0, pattern.size() - 1))
                                  : text == pattern;
  };
  return fits(a, b) || fits(b, a);
}
bool hosts_meet(std::string_view a, std::string_view b) {
  const auto fits = [](std::string_view pattern, std::string_view text) {
    if (text.starts_with('*')) text.remove_prefix(1);
    return pattern.starts_with('*') ? lowered(text).ends_with(lowered(pattern.substr(1)))
                                    : equals_ignore_case(text, pattern);
  };
  return fits(a, b) || fits(b, a);
}

// Of two lists of a rule; an empty one fits all.
template <typename Meet>
bool any_meet(const std::vector<std::string>& a, const std::vector<std::string>& b, Meet&& meet) {
  if (a.empty() || b.empty()) return true;
  return std::ranges::any_of(a, [&](const std::string& x) {
    return std::ranges::any_of(b, [&](const std::string& y) { return meet(x, y); });
  });
}

// May somebody without a name do, by this way, what `denied` denies to others?
bool opens(const AuthorizeRule& allowed, const AuthorizeRule& denied, const Way& way,
           const Inbound& inbound) {
  if (allowed.denies || !allowed.from.empty()) return false;
  if (inbound.has_other_ports()) {
    const bool is_there =
        allowed.ports.empty() || std::ranges::any_of(allowed.ports, [&](uint16_t port) {
          return port == way.port || (way.port == 0 && is_unnamed(port, inbound));
        });
    if (!is_there) return false;
    // What is allowed of requests opens no other port.
    if (way.port != inbound.app.port) return !allowed.asks_request();
  }
  return any_meet(allowed.methods, denied.methods, std::equal_to<>()) &&
         any_meet(allowed.paths, denied.paths, paths_meet) &&
         any_meet(allowed.hosts, denied.hosts, hosts_meet);
}

// Callers in plain text have no name that `from` could deny.  An allow rule denies them, unless it
// asks for no name either.
void check_denied(const AuthorizeRule& rule, const Inbound& inbound) {
  const std::vector<AuthorizeRule>& rules = inbound.authorize;
  const bool allows_some = !std::ranges::all_of(rules, &AuthorizeRule::denies);
  for (const Way& way : ways_of(rule, inbound)) {
    if (way.mtls == Mtls::kStrict) continue;
    const bool is_open =
        !allows_some || std::ranges::any_of(rules, [&](const AuthorizeRule& other) {
          return opens(other, rule, way, inbound);
        });
    if (!is_open) continue;
    const bool may_name_ports = inbound.has_other_ports() && rule.ports.empty();
    rule.from_node.error(str("denies nobody who calls in plain text, which has no name, and ",
                             name_of(way, inbound), " takes it (mtls: ", word_of(way.mtls),
                             "): say mtls: strict there, ",
                             may_name_ports ? "name the ports of this rule, " : "",
                             "or say with allow and from who may call"));
    return;
  }
}

void check_trust_domain(const AuthorizeRule& rule, const std::string& own) {
  if (own.empty()) return;
  const std::string ours = str(kSpiffeScheme, own, '/');
  for (const Node item : rule.from_node.items()) {
    if (fault_of_identity(item.raw()).empty() && !item.raw().starts_with(ours))
      item.warn(str("never matches: callers of other trust domains than ", own, " are refused"));
  }
}

}  // namespace

void check_authorize(const Mesh& mesh) {
  if (!mesh.inbound) return;
  const Inbound& inbound = *mesh.inbound;
  for (const AuthorizeRule& rule : inbound.authorize) {
    if (!check_ports(rule, inbound) || rule.from.empty()) continue;
    const bool is_nameless = std::ranges::all_of(
        ways_of(rule, inbound), [](Mtls m) { return m == Mtls::kOff; }, &Way::mtls);
    if (is_nameless) {
      rule.from_node.error("needs mtls: strict (with mtls: off nobody proves who he is)");
    } else if (rule.denies) {
      check_denied(rule, inbound);
    }
    check_trust_domain(rule, mesh.workload.trust_domain);
  }
}

}  // namespace pillion::config
