// inbound.authorize of the short language: who may call, and what for.  What a person wrote in one
// of a few spellings becomes the one that requests have when rules see them (match::canonicalize(),
// http::canonical_authority()); what no request can have is an error, because a deny rule of it
// would be a hole.
#include <arpa/inet.h>

#include <algorithm>

#include "proxy/base/ascii.h"
#include "proxy/base/escape.h"
#include "proxy/base/field_chars.h"
#include "proxy/base/str.h"
#include "proxy/config/mesh_parts.h"

namespace pillion::config {
namespace {

constexpr std::string_view kUpper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

bool is_one_of(char c, std::string_view more) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || more.find(c) != more.npos;
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
  const std::string text = node.as_string();
  std::string spelled = text;
  for (char& c : spelled) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  if (!text.empty() && !is_token(text)) {
    node.expected("a method such as GET");
  } else if (text == "*") {
    node.expected("a method such as GET", "leave methods out for all of them");
  } else if (spelled != text) {
    node.error(str("methods are told apart by their case: did you mean ", spelled, '?'));
  }
  return text;
}

// Escapes in capitals, and none of what needs none.
std::string canonical_escapes(std::string_view path) {
  std::string out;
  for (; !path.empty(); path.remove_prefix(1)) {
    const int byte = escaped_byte(path);
    if (byte < 0) {
      out += path.front();
      continue;
    }
    const char c = static_cast<char>(byte);
    char escape[3];
    if (is_unreserved(c)) {
      out += c;
    } else {
      out.append(escape, write_escape(escape, byte));
    }
    path.remove_prefix(2);
  }
  return out;
}

// Why no path has the escape at the front, if that is so.
std::string_view fault_of_escape(std::string_view path, SlashEscapes slashes) {
  const int byte = escaped_byte(path);
  if (byte < 0) return "expected two hexadecimal digits behind '%'";
  if (byte == 0) return "requests with %00 are refused: leave it out";
  if (byte == ';') return "paths are matched without parameters: leave out %3B and what follows it";
  if (slashes == SlashEscapes::kKeep) return {};
  if (byte == '/' || byte == '\\') {
    return slashes == SlashEscapes::kReject
               ? "requests with %2F or %5C are refused (inbound.escaped_slashes): write /"
               : "%2F and %5C are a slash to all rules (inbound.escaped_slashes): write /";
  }
  const int next = path.size() < 3 ? -1 : escaped_byte(path.substr(3));
  if (is_overlong_ascii(byte, next))
    return "requests with overlong UTF-8 are refused: leave it out";
  return {};
}

// Would a path that looks like this ever come out of match::canonicalize(), and then out of
// without_path_parameters()?  Else why not.
std::string_view fault_of_path(std::string_view path, SlashEscapes slashes) {
  constexpr std::string_view kNever = "\"<>^`{|}\\#";
  if (!path.starts_with('/')) return "expected a path that begins with '/'";
  if (path.find('?') != path.npos) return "a path is matched without its query";
  for (size_t i = 0; i < path.size(); ++i) {
    const auto byte = static_cast<unsigned char>(path[i]);
    if (byte <= ' ' || byte >= 0x7f || kNever.find(path[i]) != kNever.npos)
      return "no request has this character in its path: it comes as an escape, such as %20";
    if (byte == ';') return "paths are matched without parameters: leave out ; and what follows it";
    if (byte != '%') continue;
    const std::string_view fault = fault_of_escape(path.substr(i), slashes);
    if (!fault.empty()) return fault;
  }
  for (const std::string_view never : {"//", "/./", "/../"}) {
    if (path.find(never) != path.npos) return "no request keeps //, /./ or /../ in its path";
  }
  if (path.ends_with("/.") || path.ends_with("/.."))
    return "no request keeps a dot as its last part";
  return {};
}

std::string parse_path(const Node& node, SlashEscapes slashes) {
  const std::string text = node.as_string();
  if (text.empty()) return text;
  const std::string path = canonical_escapes(text);
  std::string_view fixed = path;
  if (fixed.ends_with("/*")) fixed.remove_suffix(1);
  std::string_view fault = fault_of_path(fixed, slashes);
  if (fault.empty() && fixed.find('*') != fixed.npos)
    fault = "expected '*' as the whole of the last part only, such as /users/*";
  if (!fault.empty()) node.error(str(fault, ", got \"", text, '"'));
  return path;
}

// An IP address as requests have it when rules see them: io::Address writes it by inet_ntop, too.
std::string canonical_ip(const std::string& text) {
  in6_addr binary{};
  char out[INET6_ADDRSTRLEN];
  if (inet_pton(AF_INET6, text.c_str(), &binary) != 1) return text;
  return inet_ntop(AF_INET6, &binary, out, sizeof out);
}

std::string parse_host(const Node& node) {
  const std::string text = node.as_string();
  std::string_view name = text;
  const bool is_suffix = name.starts_with("*.");
  if (!is_suffix && is_ip_address(name)) return canonical_ip(text);
  if (is_suffix) name.remove_prefix(2);
  if (!text.empty() && (!is_dns_name(name) || is_ip_address(name)))
    node.expected("a host name such as users.shop, or *.shop, without a port");
  return text.substr(0, text.size() - (name.ends_with('.') ? 1 : 0));
}

template <typename Parse>
auto parse_list(const Node& list, Parse&& parse) {
  std::vector<decltype(parse(list))> out;
  for (const Node item : list.items()) out.push_back(parse(item));
  if (list.is_sequence() && list.size() == 0)
    list.error("expected at least one (leave it out for all)");
  return out;
}

AuthorizeRule parse_rule(const Node& node, SlashEscapes slashes) {
  AuthorizeRule rule;
  rule.node = node;
  const Node what = node.one_of({"allow", "deny"});
  rule.denies = node.has("deny");
  if (what.is_present() &&
      is_section(what, "{ from: [ spiffe://mesh.local/ns/shop/sa/customer ] }")) {
    rule.from_node = what["from"];
    rule.from = parse_list(rule.from_node, parse_identity);
    rule.methods = parse_list(what["methods"], parse_method);
    rule.paths =
        parse_list(what["paths"], [slashes](const Node& n) { return parse_path(n, slashes); });
    rule.hosts = parse_list(what["hosts"], parse_host);
    rule.ports_node = what["ports"];
    rule.ports = parse_list(
        rule.ports_node, [](const Node& n) { return static_cast<uint16_t>(n.as_u32(1, 65535)); });
    what.reject_unknown_keys(Unknown::kAlwaysError);
  }
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return rule;
}

}  // namespace

// A SPIFFE id (SPIFFE-ID, 2), the last part of which may be '*'.
std::string_view fault_of_identity(std::string_view text) {
  if (!text.starts_with(kSpiffeScheme)) return "expected a SPIFFE id";
  if (text.size() > 2048) return "expected at most 2048 bytes";
  text.remove_prefix(kSpiffeScheme.size());
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

std::vector<AuthorizeRule> parse_authorize(const Node& node, SlashEscapes slashes) {
  std::vector<AuthorizeRule> rules;
  for (const Node item : node.items()) rules.push_back(parse_rule(item, slashes));
  if (node.is_sequence() && rules.empty())
    node.error("expected at least one rule (without authorize all members of the mesh may call)");
  return rules;
}

}  // namespace pillion::config
