#pragma once
// Provider: jwt_authn.v3.JwtProvider, compiled: whose tokens are accepted, where they are in a
// request, which keys they must be signed by, and what becomes of them.  Immutable, part of the
// filter's configuration.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/core/http_filter.h"
#include "proxy/match/string.h"
#include "proxy/tls/jwk.h"

namespace pillion::filters::jwt {

// A list of audiences; a scheme in front and a slash behind make no difference, as in Envoy.
class Audiences {
 public:
  void add(std::string_view audience) { list_.emplace_back(bare(audience)); }
  [[nodiscard]] bool empty() const noexcept { return list_.empty(); }
  // One of the token's is in the list, or the list is empty.
  [[nodiscard]] bool allow(const std::vector<std::string>& of_token) const;

 private:
  static std::string_view bare(std::string_view audience) noexcept;
  std::vector<std::string> list_;
};

// The keys of a remote issuer.
class KeyDocument final : public core::SharedDocument {
 public:
  KeyDocument(core::DocumentSource source, std::string stat_prefix)
      : SharedDocument(std::move(source)), stat_prefix_(std::move(stat_prefix)) {}
  void on_fetched(bool ok, const core::FilterWorkerSetup& setup) override;

 private:
  Result<Value> parse(std::string_view text) override;

  const std::string stat_prefix_;  // of the filter's counters
  stats::BlockRef<stats::JwtAuthnStats> stats_;
};

struct ClaimHeader {
  std::string header;             // lower case
  std::vector<std::string> path;  // of the claim
};

struct TokenHeader {
  std::string name;  // lower case
  std::string prefix;
};

struct Provider {
  std::string name;
  std::string issuer;  // empty: any
  Audiences audiences;
  std::optional<match::StringMatcher> subjects;
  bool requires_expiration = false;
  std::optional<Duration> max_lifetime;
  uint64_t clock_skew = 60;  // seconds

  tls::JwkSetPtr local_keys;  // or
  std::shared_ptr<KeyDocument> remote_keys;

  std::vector<TokenHeader> from_headers;
  std::vector<std::string> from_params;
  std::vector<std::string> from_cookies;

  bool forward = false;
  std::string forward_payload_header;  // lower case; empty: none
  bool pads_payload = false;
  std::vector<ClaimHeader> claim_headers;
  std::string payload_in_metadata;  // keys; empty: none
  std::string header_in_metadata;
  std::string failed_status_in_metadata;
  std::vector<std::string> space_delimited_claims;
  bool clears_route_cache = false;

  uint32_t cache_size = 0;  // tokens, per worker; 0: none
  uint32_t max_cached_token = 4096;
  uint32_t index = 0;  // among the filter's providers
};

// `index`: its place among the filter's; `stat_prefix`: of the filter's counters.
std::unique_ptr<const Provider> parse_provider(const config::Entry& entry, uint32_t index,
                                               const std::string& stat_prefix,
                                               const core::FilterParseContext& context);

}  // namespace pillion::filters::jwt
