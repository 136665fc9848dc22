#pragma once
// Secrets from a secret discovery service (envoy.service.secret.v3.SecretDiscoveryService,
// StreamSecrets, the state of the world), over a cluster like any other.
//
// One stream for each secret, as Envoy does: servers such as Istio's agent answer a name that fails
// by ending the whole stream.  The protocol (node first, nonces, ACK and NACK, back-off with full
// jitter) is that of xds::AdsClient.  A refused secret, an answer without it, and a server that is
// away leave what is in force.

#include <map>
#include <memory>
#include <set>
#include <string>

#include "certs/provider.h"
#include "certs/watched_files.h"
#include "xds/ads.h"

namespace pillion::certs {

// One secret by SDS, whatever stream it comes by: what was said of it, in Envoy's counters.
// Files that it names are followed as well, also those of one that was refused: a pair of which one
// half has not been written yet is tried again.
class SdsSecret final : private io::FileObserver {
 public:
  SdsSecret(const ProviderContext& context, const tls::SecretRef& ref);

  // What is wrong with it; empty: it is in force.
  std::string take(const xds::Resource& resource, const std::string& version);
  // Said of all of a response, or of one in which it is missing.
  void refuse(std::string_view reason);
  // It has not come in time, or the server says that there is none: nobody waits for it any more.
  void on_fetch_timeout();
  void on_failures(uint64_t times);
  [[nodiscard]] const tls::SecretRef& ref() const noexcept { return ref_; }

 private:
  void on_file_changed() override { read_again(); }
  void on_file_gone(const std::string&) override { read_again(); }
  // What was said, for as long as its files may change.
  struct Said {
    std::string bytes, version;
    std::set<std::string> files;
  };
  void read_again();
  // What is wrong with it.
  std::string put(Said& said);
  void keep(Said& place, Said said);

  ProviderContext context_;
  const tls::SecretRef ref_;
  const tls::SecretName name_;
  stats::BlockRef<stats::SdsStats> stats_;
  WatchedFiles watches_;
  // Each if it names files; empty: none.  One that was refused came later than that in force.
  Said in_force_, refused_;
};

// Of SecretSource::Grpc.
class SdsProvider final : public Provider {
 public:
  SdsProvider(const ProviderContext& context, const config::GrpcService& service);
  ~SdsProvider() override;
  void want(const tls::SecretRef& ref) override;
  void unwant(const tls::SecretName& name) override;
  void stop() override;
  void update_stats() override;

 private:
  class Stream;

  ProviderContext context_;
  const config::GrpcService service_;
  std::map<tls::SecretName, std::unique_ptr<Stream>> streams_;
};

}  // namespace pillion::certs
