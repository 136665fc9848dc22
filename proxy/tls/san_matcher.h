#pragma once
// SanMatcher: one condition on the subject alternative names of a certificate, as Envoy's
// SubjectAltNameMatcher: a type of name and how its text must look.
//
// A name matches only a matcher of its own type (CVE-2022-21656 was a confusion of types).  An
// exact DNS matcher also accepts a wildcard in the certificate, for one left-most label
// (CVE-2020-15104).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/match/regex.h"

namespace pillion::tls {

enum class SanType : uint8_t { kEmail, kDns, kUri, kIp };
std::string_view to_string(SanType type) noexcept;  // "URI"

struct San {
  SanType type;
  std::string text;  // an IP address as inet_ntop writes it
};

struct SanMatcher {
  enum class Kind : uint8_t { kExact, kPrefix, kSuffix, kContains, kRegex };
  SanType type = SanType::kUri;
  Kind kind = Kind::kExact;
  bool ignore_case = false;
  std::string text;
  match::RegexPtr regex{};  // of kRegex, for the whole name; null matches nothing

  [[nodiscard]] bool matches(const San& san) const noexcept;
  // "URI SAN with prefix spiffe://mesh.local/"
  [[nodiscard]] std::string describe() const;
};

// Does the DNS name `pattern` of a certificate, maybe a wildcard, stand for `host`?
bool dns_name_covers(std::string_view pattern, std::string_view host) noexcept;
// The matcher for a name that a connection was made for: a URI, an IP address or a host name.
SanMatcher matcher_for_name(std::string_view name);
// "10.0.0.1" or "::1" in its canonical form, empty if `text` is no IP address.
std::string canonical_ip(std::string_view text);

}  // namespace pillion::tls
