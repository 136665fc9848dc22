// inbound.authorize of the short language: who may call, and what for.
#include <algorithm>
#include <array>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/config/mesh_parts.h"

namespace pillion::config {
namespace {

constexpr std::string_view kScheme = "spiffe://";

bool is_one_of(char c, std::string_view more) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || more.find(c) != more.npos;
}

// A SPIFFE id (SPIFFE-ID, 2), the last part of which may be '*'.  Else what it is not.
std::string_view fault_of_identity(std::string_view text) {
  constexpr std::string_view kUpper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  if (!text.starts_with(kScheme)) return "expected a SPIFFE id";
  if (text.size() > 2048) return "expected at most 2048 bytes";
  text.remove_prefix(kScheme.size());
  const size_t slash = text.find('/');
  const std::string_view domain = text.substr(0, slash);
  const auto is_domain_byte = [](char c) { return is_one_of(c, "-._"); };
  if (domain.empty() || !std::ranges::all_of(domain, is_domain_byte))
    return "expected a trust domain of lower-case letters, digits, '-', '_' and dots";
  if (slash == text.npos) return "expected a path";
  text.remove_prefix(slash);
  while (!text.empty()) {
    text.remove_prefix(1);
    const std::string_view part = text.substr(0, text.find('/'));
    text.remove_prefix(part.size());
    if (part == "*" && text.empty()) return {};
    if (part.find('*') != part.npos) return "expected '*' as the whole of the last part only";
    const auto is_byte = [&](char c) {
      return is_one_of(c, "-._") || kUpper.find(c) != kUpper.npos;
    };
    if (part.empty() || part == "." || part == ".." || !std::ranges::all_of(part, is_byte))
      return "expected parts of letters, digits, '-', '_' and dots";
  }
  return {};
}

std::string parse_identity(const Node& node) {
  const std::string text = node.as_string();
  if (text.empty()) return text;
  const std::string_view fault = fault_of_identity(text);
  if (!fault.empty()) {
    node.error(str(fault,
                   ", such as spiffe://mesh.local/ns/shop/sa/customer or "
                   "spiffe://mesh.local/ns/shop/*, got \"",
                   text, '"'));
  }
  return text;
}

// A token (RFC 9110, 9.1).
std::string parse_method(const Node& node) {
  static constexpr std::array<std::string_view, 9> kKnown = {
      "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
  const std::string text = node.as_string();
  const auto is_byte = [](char c) {
    return is_one_of(c, "!#$%&'*+-.^_`|~ABCDEFGHIJKLMNOPQRSTUVWXYZ");
  };
  const auto* known =
      std::ranges::find_if(kKnown, [&](std::string_view k) { return equals_ignore_case(text, k); });
  if (!std::ranges::all_of(text, is_byte)) {
    node.expected("a method such as GET");
  } else if (known != kKnown.end() && *known != text) {
    node.error(str("methods are told apart by their case: did you mean ", *known, '?'));
  } else if (text == "*") {
    node.expected("a method such as GET", "leave methods out for all of them");
  }
  return text;
}

// Would a path that looks like this ever come out of match::canonicalize()?  Else why not.
std::string_view fault_of_path(std::string_view path) {
  constexpr std::string_view kNever = "\"<>^`{|}\\#";
  if (!path.starts_with('/')) return "expected a path that begins with '/'";
  if (path.find('?') != path.npos) return "a path is matched without its query";
  for (size_t i = 0; i < path.size(); ++i) {
    const auto byte = static_cast<unsigned char>(path[i]);
    if (byte <= ' ' || byte >= 0x7f || kNever.find(path[i]) != kNever.npos)
      return "no request has this character in its path: it comes as an escape, such as %20";
    if (path[i] != '%') continue;
    const int high = i + 2 < path.size() ? hex_digit(path[i + 1]) : -1;
    const int low = i + 2 < path.size() ? hex_digit(path[i + 2]) : -1;
    if (high < 0 || low < 0) return "expected two hexadecimal digits behind '%'";
    const char escaped = static_cast<char>(high * 16 + low);
    if (is_one_of(escaped, "-._~ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
      return "no request keeps this escape: write the character itself";
  }
  for (const std::string_view never : {"//", "/./", "/../"}) {
    if (path.find(never) != path.npos) return "no request keeps //, /./ or /../ in its path";
  }
  if (path.ends_with("/.") || path.ends_with("/.."))
    return "no request keeps a dot as its last part";
  return {};
}

std::string parse_path(const Node& node) {
  const std::string text = node.as_string();
  if (text.empty()) return text;
  std::string_view fixed = text;
  if (fixed.ends_with("/*")) fixed.remove_suffix(1);
  std::string_view fault = fault_of_path(fixed);
  if (fault.empty() && fixed.find('*') != fixed.npos)
    fault = "expected '*' as the whole of the last part only, such as /users/*";
  if (!fault.empty()) node.error(str(fault, ", got \"", text, '"'));
  return text;
}

std::string parse_host(const Node& node) {
  const std::string text = node.as_string();
  std::string_view name = text;
  if (name.starts_with("*.")) name.remove_prefix(2);
  if (!text.empty() && !is_dns_name(name) && !is_ip_address(name))
    node.expected("a host name such as users.shop, or *.shop, without a port");
  return text;
}

template <typename Parse>
auto parse_list(const Node& list, Parse&& parse) {
  std::vector<decltype(parse(list))> out;
  for (const Node item : list.items()) out.push_back(parse(item));
  if (list.is_sequence() && list.size() == 0)
    list.error("expected at least one (leave it out for all)");
  return out;
}

AuthorizeRule parse_rule(const Node& node) {
  AuthorizeRule rule;
  rule.node = node;
  const Node what = node.one_of({"allow", "deny"});
  rule.denies = node.has("deny");
  if (what.is_present() &&
      is_section(what, "{ from: [ spiffe://mesh.local/ns/shop/sa/customer ] }")) {
    rule.from_node = what["from"];
    rule.from = parse_list(rule.from_node, parse_identity);
    rule.methods = parse_list(what["methods"], parse_method);
    rule.paths = parse_list(what["paths"], parse_path);
    rule.hosts = parse_list(what["hosts"], parse_host);
    rule.ports = parse_list(
        what["ports"], [](const Node& n) { return static_cast<uint16_t>(n.as_u32(1, 65535)); });
    what.reject_unknown_keys(Unknown::kAlwaysError);
  }
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return rule;
}

}  // namespace

std::vector<AuthorizeRule> parse_authorize(const Node& node) {
  std::vector<AuthorizeRule> rules;
  for (const Node item : node.items()) rules.push_back(parse_rule(item));
  if (node.is_sequence() && rules.empty())
    node.error("expected at least one rule (without authorize all members of the mesh may call)");
  return rules;
}

void check_authorize(const Mesh& mesh) {
  if (!mesh.inbound) return;
  for (const AuthorizeRule& rule : mesh.inbound->authorize) {
    if (rule.from.empty()) continue;
    if (mesh.inbound->mtls == Mtls::kOff)
      rule.from_node.error("needs mtls: strict (with mtls: off nobody proves who he is)");
    const std::string& own = mesh.workload.trust_domain;
    if (own.empty()) continue;
    for (const Node item : rule.from_node.items()) {
      const std::string ours = str(kScheme, own, '/');
      if (fault_of_identity(item.raw()).empty() && !item.raw().starts_with(ours))
        item.warn(str("never matches: callers of other trust domains than ", own, " are refused"));
    }
  }
}

}  // namespace pillion::config
