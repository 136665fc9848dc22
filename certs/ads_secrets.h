#pragma once
// Secrets that come by the stream of dynamic_resources.ads_config (sds_config: { ads: {} }).
//
// The stream is the server's (proxy/control/control_plane.h): it is told which names are wanted,
// and hands over what it receives of them.

#include <map>
#include <memory>
#include <set>
#include <string>

#include "certs/provider.h"
#include "certs/sds.h"

namespace pillion::certs {

class AdsSecrets final : public Provider {
 public:
  using Names = std::map<std::string, Duration>;  // -> initial_fetch_timeout
  // Who has the stream; outlives the last call.
  class Subscriber {
   public:
    virtual void subscribe_secrets(const Names& names) = 0;

   protected:
    ~Subscriber() = default;
  };
  explicit AdsSecrets(const ProviderContext& context) : context_(context) {}

  void want(const tls::SecretRef& ref) override;
  void unwant(const tls::SecretName& name) override;
  void stop() override { subscriber_ = nullptr; }

  // From now on; told at once what is wanted already.
  void set_subscriber(Subscriber& subscriber);
  // What is wrong with the response, one problem a line.
  std::string take(const xds::Response& response);
  void on_fetch_timeout(const std::set<std::string>& names);
  void on_failures(std::string_view name, uint64_t times);

 private:
  void subscribe();

  ProviderContext context_;
  Subscriber* subscriber_ = nullptr;
  std::map<tls::SecretName, std::unique_ptr<SdsSecret>> secrets_;
};

}  // namespace pillion::certs
