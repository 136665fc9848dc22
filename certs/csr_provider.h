#pragma once
// CsrProvider: an identity from a CA that signs requests: Istio's CreateCertificate
// (istio.v1.auth.IstioCertificateService), as istiod and `pillion ca serve` have it.
//
// A key is made here (request_maker.h), and never leaves the memory of the process; a projected
// service-account token says who asks (the file is read anew each time, for the kubelet replaces
// it).  The answer is the chain, and behind it the root, unless a file tells whom to trust; that
// one is followed.  When the CA has another root the former one stays trusted until the identity
// that it came with expires: peers are not renewed all at once.
//
//   kCertificate, any name: the identity      kValidation, any name: whom the CA's root vouches for
//
// Asked again at half of its life; after a failure the last good one stays (provider.h).

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "certs/provider.h"
#include "certs/renewal.h"
#include "certs/request_maker.h"
#include "certs/watched_files.h"
#include "proxy/tls/csr.h"
#include "proxy/upstream/grpc_call.h"

namespace pillion::certs {

class CsrProvider final : public Provider,
                          private upstream::GrpcCallObserver,
                          private RequestMakerObserver,
                          private RenewalTask,
                          private io::FileObserver {
 public:
  CsrProvider(const ProviderContext& context, tls::SecretSource::Authority options);
  ~CsrProvider() override;

  void want(const tls::SecretRef& ref) override;
  void unwant(const tls::SecretName& name) override;
  void stop() override;

 private:
  struct Received {
    tls::SecretPtr identity, trust;
    std::string root;  // that the answer ended with; empty: none
    WallTime not_after{};
  };
  struct FormerRoot {
    std::string pem;
    WallTime until{};
  };

  void on_renewal_due() override { ask(); }
  void on_grpc_message(std::string_view message) override { answer_ = message; }
  void on_grpc_end(const upstream::GrpcEnd& end) override;
  void on_file_changed() override { renew_trust(); }
  void on_file_gone(const std::string& path) override;

  void on_request_made(Result<tls::SigningRequest> made) override;

  void ask();
  Status<> send_request();
  Status<> accept();
  // Whom to trust from now on; former roots whose time is over are forgotten.
  Result<tls::ValidationConfig> trust_of(std::string_view root, WallTime now);
  void renew_trust();
  void fail(std::string_view reason);
  void fail_trust(std::string_view reason);
  void put(const tls::SecretName& name);

  ProviderContext context_;
  const tls::SecretSource::Authority options_;
  std::set<tls::SecretName> wanted_;
  Received received_;
  std::vector<FormerRoot> former_roots_;
  tls::SigningRequest request_;  // while it is being asked
  std::string answer_;
  upstream::GrpcCall call_;
  Renewal renewal_;
  RequestMaker maker_;
  WatchedFiles watches_;
  io::Timer trust_timer_ = io::Timer::of<&CsrProvider::renew_trust>(this);
};

}  // namespace pillion::certs
