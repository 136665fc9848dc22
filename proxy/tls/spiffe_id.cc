#include "proxy/tls/spiffe_id.h"

#include <algorithm>

#include "proxy/base/str.h"

namespace pillion::tls {
namespace {

constexpr std::string_view kScheme = "spiffe://";
constexpr size_t kMaxId = 2048;
constexpr size_t kMaxTrustDomain = 255;

}  // namespace

std::string trust_domain_error(std::string_view name) {
  if (name.empty() || name.size() > kMaxTrustDomain)
    return "expected a name of 1 to 255 characters";
  for (const char c : name) {
    const bool good =
        (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
    if (!good) return "expected lower-case letters, digits, '.', '-', '_', such as mesh.local";
  }
  return {};
}

// SPIFFE-ID, sections 2.1 to 2.4.
Result<std::string> trust_domain_of(std::string_view id) {
  if (!id.starts_with(kScheme)) return Error{"expected spiffe://TRUST_DOMAIN/PATH"};
  if (id.size() > kMaxId) return Error{"longer than 2048 bytes"};
  const std::string_view rest = id.substr(kScheme.size());
  const size_t slash = rest.find('/');
  const std::string_view domain = rest.substr(0, slash);
  if (std::string why = trust_domain_error(domain); !why.empty())
    return Error{"trust domain: " + why};
  if (slash == rest.npos)
    return Error{"no path: that is the id of the trust domain, not of a workload"};
  std::string_view path = rest.substr(slash);
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    if (segment.empty() || segment == "." || segment == "..") {
      return Error{"the path has a segment that is empty, '.' or '..'"};
    }
    const bool good = std::all_of(segment.begin(), segment.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '.' || c == '-' || c == '_';
    });
    if (!good) return Error{"the path may have letters, digits, '.', '-', '_' and '/' only"};
  }
  return std::string(domain);
}

bool claims_to_be_spiffe(std::string_view uri) noexcept {
  constexpr std::string_view kName = "spiffe:";
  return equals_ignore_case(uri.substr(0, kName.size()), kName);
}

}  // namespace pillion::tls
