#pragma once
// CsrProvider: an identity from a CA that signs requests: Istio's CreateCertificate
// (istio.v1.auth.IstioCertificateService), as istiod and `pillion ca serve` have it.
//
// A key is made here (request_maker.h), and never leaves the memory of the process; a projected
// service-account token says who asks (the file is read anew each time, for the kubelet replaces
// it).  The answer is the chain, and behind it the root, unless a file tells whom to trust.
//
//   kCertificate, any name: the identity      kValidation, any name: whom the CA's root vouches for
//
// Asked again at half of its life; after a failure the last good one stays (provider.h).

#include <chrono>
#include <optional>
#include <set>
#include <string>

#include "certs/provider.h"
#include "certs/renewal.h"
#include "certs/request_maker.h"
#include "proxy/tls/csr.h"
#include "proxy/upstream/grpc_call.h"

namespace pillion::certs {

class CsrProvider final : public Provider,
                          private upstream::GrpcCallObserver,
                          private RequestMakerObserver,
                          private RenewalTask {
 public:
  CsrProvider(const ProviderContext& context, tls::SecretSource::Authority options);
  ~CsrProvider() override;

  void want(const tls::SecretRef& ref) override;
  void unwant(const tls::SecretName& name) override;
  void stop() override;

 private:
  struct Received {
    tls::SecretPtr identity, trust;
  };

  void on_renewal_due() override { ask(); }
  void on_grpc_message(std::string_view message) override { answer_ = message; }
  void on_grpc_end(const upstream::GrpcEnd& end) override;

  void on_request_made(Result<tls::SigningRequest> made) override;

  void ask();
  Status<> send_request();
  Status<> accept();
  Result<tls::ValidationConfig> trust_of(std::string_view root) const;
  void fail(std::string_view reason);
  void put(const tls::SecretName& name);

  ProviderContext context_;
  const tls::SecretSource::Authority options_;
  std::set<tls::SecretName> wanted_;
  Received received_;
  tls::SigningRequest request_;  // while it is being asked
  std::string answer_;
  upstream::GrpcCall call_;
  Renewal renewal_;
  RequestMaker maker_;
};

}  // namespace pillion::certs
