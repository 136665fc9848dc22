#pragma once
// Checker: holds one request against a requirement, and does to the request what its good tokens
// are to do.
//
//   Checker checker(providers, worker, context);
//   if (checker.must_wait(requirement)) ...    // for keys that have not come yet: ask again later
//   status = checker.check(requirement);       // once; changes the request
//
// The order of the questions is Envoy's, so that the first thing that is wrong is the same there.

#include <vector>

#include "filters/jwt/requirement.h"
#include "filters/jwt/token_cache.h"
#include "proxy/core/http_filter.h"

namespace pillion::filters::jwt {

inline constexpr std::string_view kMetadataSpace = "envoy.filters.http.jwt_authn";

// What a worker has of the providers.
class WorkerState final : public core::FilterWorkerState {
 public:
  WorkerState(const core::FilterWorkerSetup& setup, const Providers& providers,
              std::string_view stat_prefix);

  struct OfProvider {
    TokenCache cache;
    tls::JwkSetPtr remote_keys;
    uint32_t version = 0;  // of the document that they are
  };
  // Of a remote provider those in force, else null.
  [[nodiscard]] const tls::JwkSetPtr& keys(const Provider& provider);
  // Nothing is known of a provider's keys yet, not even that they cannot be had.
  [[nodiscard]] static bool is_pending(const Provider& provider) {
    return provider.remote_keys != nullptr && provider.remote_keys->version() == 0;
  }
  [[nodiscard]] TokenCache& cache(const Provider& provider) {
    return providers_[provider.index].cache;
  }
  stats::BlockRef<stats::JwtAuthnStats> stats;

 private:
  std::vector<OfProvider> providers_;
};

class Checker {
 public:
  Checker(const Providers& providers, WorkerState& worker, core::FilterContext& context);

  // A token of the request is good but for its signature, whose keys are to come.
  [[nodiscard]] bool must_wait(const Requirement& requirement);
  Status check(const Requirement& requirement);
  // A token changed the request, and its provider wants the route to be chosen anew.
  [[nodiscard]] bool clears_route_cache() const noexcept { return clears_route_cache_; }

 private:
  // A token on its way through the questions.
  struct Examined {
    const Provider* provider = nullptr;
    std::shared_ptr<const Token> token;
    tls::Sha256 hash{};
    bool is_cached = false;
  };

  Status check_provider(const Requirement& leaf);
  Status check_any(const Requirement& any);
  Status check_all(const Requirement& all);
  Status check_optional(const Requirement& leaf);
  // All that can be asked before the signature.
  Status examine(const Requirement& leaf, const FoundToken& found, Examined& out);
  Status examine_claims(const Requirement& leaf, const FoundToken& found, Examined& out);
  Status check_lifetime(const Provider& provider, const Token& token) const;
  Status verify(const Requirement& leaf, const FoundToken& found);
  [[nodiscard]] bool find_cached(const Provider& provider, std::string_view text, Examined& out);

  void apply(const Provider& provider, const Token& token, const Location& location);
  void add_header(std::string_view name, std::string_view value);
  void add_claim(const ClaimHeader& claim, const Json& payload);
  void set_metadata(const Provider& provider, const Token& token);
  void tell_failure(const Provider* provider, Status status);

  const Providers& providers_;
  WorkerState& worker_;
  core::FilterContext& context_;
  uint64_t now_;  // seconds since 1970
  bool clears_route_cache_ = false;
};

// The headers that only good tokens may write: a client's are removed.
void remove_forgeable(const Provider& provider, http::Headers& headers);

}  // namespace pillion::filters::jwt
