#pragma once
// Secrets that come by the stream of dynamic_resources.ads_config (sds_config: { ads: {} }).
//
// The stream is the server's (proxy/control/control_plane.h): it is told which names are wanted,
// once for all that changed in a turn, for a configuration may bring a thousand secrets; and hands
// over what it receives of them.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "certs/provider.h"
#include "certs/sds.h"
#include "proxy/io/ready_task.h"

namespace pillion::certs {

class AdsSecrets final : public Provider, private io::ReadyTask {
 public:
  // Name -> initial_fetch_timeout.
  using Names = std::map<std::string, Duration, std::less<>>;
  // Who has the stream; outlives the last call.
  class Subscriber {
   public:
    // These are wanted from now on, and those of `gone` not any more; all others stay.
    virtual void change_secrets(const Names& come,
                                const std::set<std::string, std::less<>>& gone) = 0;

   protected:
    ~Subscriber() = default;
  };
  // What became of a response.
  struct Taken {
    std::string wrong;              // one problem a line; empty: nothing
    std::set<std::string> refused;  // by name, while others were taken; none: nothing, or all was
  };
  explicit AdsSecrets(const ProviderContext& context) : context_(context) {}

  void want(const tls::SecretRef& ref) override;
  void unwant(const tls::SecretName& name) override;
  void stop() override { subscriber_ = nullptr; }

  // From now on; told at once what is wanted already.
  void set_subscriber(Subscriber& subscriber);
  Taken take(const xds::Response& response);
  void on_fetch_timeout(const std::set<std::string>& names);
  void on_failures(std::string_view name, uint64_t times);

 private:
  // One name may be wanted as secrets of several kinds.
  using Kinds = std::map<tls::SecretKind, std::unique_ptr<SdsSecret>>;

  void touch(const std::string& name);
  void run_ready() override;
  template <typename Fn>
  void for_each(std::string_view name, Fn&& fn);

  ProviderContext context_;
  Subscriber* subscriber_ = nullptr;
  std::map<std::string, Kinds, std::less<>> secrets_;
  std::set<std::string> touched_;  // names of which the subscriber has to be told
};

}  // namespace pillion::certs
