// Names of certificates against what is wanted of them: "pattern\nhost", and each line as a SPIFFE
// id, an address and a matcher's text.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/tls/san_matcher.h"
#include "proxy/tls/spiffe_id.h"

using namespace pillion;
using namespace pillion::tls;

namespace {

void require(bool what) {
  if (!what) std::abort();
}

void check_wildcard(std::string_view pattern, std::string_view host) {
  if (!dns_name_covers(pattern, host) || equals_ignore_case(pattern, host)) return;
  // One whole label at the left, of a name of three or more.
  require(pattern.starts_with("*.") && !host.starts_with('*'));
  const size_t dot = host.find('.');
  require(dot != host.npos && dot > 0);
  require(equals_ignore_case(pattern.substr(1), host.substr(dot)));
  require(std::count(host.begin(), host.end(), '.') >= 2);
}

void check_id(std::string_view text) {
  const auto domain = trust_domain_of(text);
  if (!domain) return require(!domain.error().empty());
  require(claims_to_be_spiffe(text) && trust_domain_error(*domain).empty());
  require(text.starts_with(str("spiffe://", *domain, "/")) && text.size() <= 2048);
  require(text.find("//", 9) == text.npos && !text.ends_with('/'));
  for (const char c : text.substr(9)) {
    require((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            std::string_view("-_./").find(c) != std::string_view::npos);
  }
}

void check_matchers(std::string_view wanted, std::string_view name) {
  using Kind = SanMatcher::Kind;
  for (const SanType type : {SanType::kDns, SanType::kUri, SanType::kEmail, SanType::kIp}) {
    const San san{type, std::string(name)};
    for (const Kind kind : {Kind::kExact, Kind::kPrefix, Kind::kSuffix, Kind::kContains}) {
      SanMatcher m{type, kind, false, std::string(wanted)};
      const bool matches = m.matches(san);
      require(type == SanType::kUri || !m.matches({SanType::kUri, san.text}));
      m.ignore_case = true;
      require(!matches || m.matches(san));
      if (kind == Kind::kContains) require(!matches || name.find(wanted) != name.npos);
    }
  }
  const SanMatcher m = matcher_for_name(wanted);
  require(m.kind == Kind::kExact && (m.type != SanType::kIp || canonical_ip(m.text) == m.text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(text.find('\n'), size);
  const std::string_view first = text.substr(0, end);
  const std::string_view second = text.substr(std::min(end + 1, size));
  check_wildcard(first, second);
  check_id(first);
  check_id(second);
  check_matchers(first, second);
  return 0;
}
