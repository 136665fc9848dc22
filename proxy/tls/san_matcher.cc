#include "proxy/tls/san_matcher.h"

#include <arpa/inet.h>

#include "proxy/base/assert.h"
#include "proxy/base/str.h"

namespace pillion::tls {
namespace {

bool equal(std::string_view a, std::string_view b, bool ignore_case) noexcept {
  return ignore_case ? equals_ignore_case(a, b) : a == b;
}

bool contains(std::string_view text, std::string_view part, bool ignore_case) noexcept {
  if (!ignore_case) return text.find(part) != text.npos;
  for (size_t i = 0; i + part.size() <= text.size(); ++i) {
    if (equals_ignore_case(text.substr(i, part.size()), part)) return true;
  }
  return false;
}

}  // namespace

std::string_view to_string(SanType type) noexcept {
  switch (type) {
    case SanType::kEmail:
      return "EMAIL";
    case SanType::kDns:
      return "DNS";
    case SanType::kUri:
      return "URI";
    case SanType::kIp:
      return "IP";
  }
  UNREACHABLE();
}

bool dns_name_covers(std::string_view pattern, std::string_view host) noexcept {
  if (equals_ignore_case(pattern, host)) return true;
  if (!pattern.starts_with("*.") || host.starts_with('*')) return false;
  const size_t dot = host.find('.');
  const std::string_view parent = pattern.substr(1);
  // "*.com" would stand for every company.
  if (dot == host.npos || dot == 0 || parent.find('.', 1) == parent.npos) return false;
  return equals_ignore_case(parent, host.substr(dot));
}

bool SanMatcher::matches(const San& san) const noexcept {
  if (san.type != type) return false;
  const std::string_view name = san.text;
  switch (kind) {
    case Kind::kExact:
      if (type == SanType::kDns) return dns_name_covers(name, text);
      return equal(name, text, ignore_case);
    case Kind::kPrefix:
      return name.size() >= text.size() && equal(name.substr(0, text.size()), text, ignore_case);
    case Kind::kSuffix:
      return name.size() >= text.size() &&
             equal(name.substr(name.size() - text.size()), text, ignore_case);
    case Kind::kContains:
      return contains(name, text, ignore_case);
    case Kind::kRegex:
      return regex != nullptr && regex->matches(name);
  }
  UNREACHABLE();
}

std::string SanMatcher::describe() const {
  switch (kind) {
    case Kind::kExact:
      return str(to_string(type), " SAN ", text);
    case Kind::kPrefix:
      return str(to_string(type), " SAN with prefix ", text);
    case Kind::kSuffix:
      return str(to_string(type), " SAN with suffix ", text);
    case Kind::kContains:
      return str(to_string(type), " SAN that contains ", text);
    case Kind::kRegex:
      return str(to_string(type), " SAN that matches ", regex ? regex->pattern() : "");
  }
  UNREACHABLE();
}

SanMatcher matcher_for_name(std::string_view name) {
  SanMatcher m;
  if (name.find("://") != name.npos) {
    m.type = SanType::kUri;
    m.text = name;
    return m;
  }
  m.text = canonical_ip(name);
  m.type = m.text.empty() ? SanType::kDns : SanType::kIp;
  if (m.text.empty()) m.text = name;
  return m;
}

std::string canonical_ip(std::string_view text) {
  if (text.find('\0') != text.npos) return {};  // inet_pton would stop there
  const std::string terminated(text);
  unsigned char raw[16];
  char out[INET6_ADDRSTRLEN];
  for (const int family : {AF_INET, AF_INET6}) {
    if (inet_pton(family, terminated.c_str(), raw) == 1) {
      return inet_ntop(family, raw, out, sizeof out);
    }
  }
  return {};
}

}  // namespace pillion::tls
