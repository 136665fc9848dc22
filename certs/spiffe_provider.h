#pragma once
// SpiffeProvider: identities and bundles from a SPIFFE Workload API (SPIRE's agent and its like),
// by a socket on the same machine: no file and no secret is needed to ask.
//
// Names, which are those of SPIRE's own SDS where it has one:
//
//   kCertificate   "default"           the first X509-SVID (the standard: the one to use)
//                  a hint, or an id    that one
//   kValidation    "ROOTCA"            the bundle of our own trust domain
//                  "ALL"               a bundle for each trust domain, ours and the federated ones
//                  "spiffe://td"       that one
//   kGeneric       "jwt:td"            the JWT bundle of a trust domain: a JWKS document
//
// What comes is looked at before it is used (svid.h).  An answer replaces all that the one before
// it said: a bundle that is not in it is not trusted any more, and neither is one that cannot be
// read; so is a further SVID left out.  An answer whose first SVID or own bundle cannot be used
// changes nothing, and neither does the end of a stream: the last good identity stays.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "certs/provider.h"
#include "certs/workload_messages.h"
#include "certs/workload_stream.h"

namespace pillion::certs {

class SpiffeProvider final : public Provider, private WorkloadStreamObserver {
 public:
  SpiffeProvider(const ProviderContext& context, tls::SecretSource::Spiffe options);

  void want(const tls::SecretRef& ref) override;
  void unwant(const tls::SecretName& name) override;
  void stop() override;

 private:
  struct Identity {
    std::string id, hint, trust_domain;
    tls::SecretPtr secret;
  };
  using Bundles = std::map<std::string, std::string, std::less<>>;  // trust domain -> PEM or JWKS
  // What one of the methods said last.
  struct State {
    std::vector<Identity> identities;  // in the order of the API
    Bundles bundles;
    std::string crl_pem;
    std::set<std::string> skipped;  // reasons, of what was left out
  };

  void on_workload_message(WorkloadStream& stream, std::string_view message) override;
  void on_workload_failure(WorkloadStream& stream, std::string_view reason) override;

  Status<> take(const WorkloadStream& stream, std::string_view message);
  Result<State> read_svids(std::string_view message) const;
  Result<Identity> read_svid(const SvidMessage& message, WallTime now) const;
  void log_identity(const State& before) const;

  // The stream that brings it.
  [[nodiscard]] WorkloadStream& stream_of(const tls::SecretName& name);
  [[nodiscard]] bool needs_svids() const;
  void update_streams();
  void publish(const tls::SecretName& name);
  // Null: the last answer has none of that name.
  [[nodiscard]] tls::SecretPtr find(const tls::SecretName& name) const;
  [[nodiscard]] tls::SecretPtr identity(std::string_view name) const;
  [[nodiscard]] tls::SecretPtr validation(std::string_view name) const;
  [[nodiscard]] tls::SecretPtr jwks(std::string_view name) const;
  // Empty: not known.
  [[nodiscard]] std::string_view own_domain() const;

  ProviderContext context_;
  const tls::SecretSource::Spiffe options_;
  std::set<tls::SecretName> wanted_;
  State state_;
  std::optional<Bundles> jwt_;  // none: no answer yet
  std::set<std::string> jwt_skipped_;
  const WorkloadStream* told_ = nullptr;  // which one state_ is of; null: no answer yet
  WorkloadStream svids_, bundles_, jwt_bundles_;
  bool is_stopped_ = false;
};

}  // namespace pillion::certs
