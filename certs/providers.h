#pragma once
// Providers: all sources of secrets, by what the configuration says of them (SecretSource).
//
// Owned by the Server, on the control loop, made before the first configuration takes effect.
// Between the SecretStore, which knows what is wanted, and the Provider of each source, which is
// made when the first of its secrets is wanted and dies when the last one is not.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "certs/ads_secrets.h"
#include "certs/provider.h"

namespace pillion::certs {

class Providers final : public tls::SecretFetcher {
 public:
  explicit Providers(const ProviderContext& context);
  ~Providers();
  Providers(const Providers&) = delete;
  Providers& operator=(const Providers&) = delete;

  // static_resources.secrets, of the configuration that takes effect now.
  struct StaticSecret {
    std::string name;
    tls::SecretPtr secret;
  };
  void set_static(const std::vector<StaticSecret>& secrets);
  [[nodiscard]] AdsSecrets& ads() noexcept { return *ads_; }
  // The configuration was read again.
  void check();
  // The process ends.
  void stop();

 private:
  struct Source {
    std::unique_ptr<Provider> owned;  // null: ADS
    Provider* provider = nullptr;
    size_t wanted = 0;
  };

  void on_wanted(const tls::SecretRef& ref) override;
  void on_unwanted(const tls::SecretName& name) override;
  Source make_source(const tls::SecretSource& source);
  void put_static(const tls::SecretName& name);
  void update_stats();

  const ProviderContext context_;
  std::unique_ptr<AdsSecrets> ads_;
  std::map<std::string, Source> sources_;  // by SecretSource::key
  std::map<std::pair<tls::SecretKind, std::string>, tls::SecretPtr> static_;
};

}  // namespace pillion::certs
