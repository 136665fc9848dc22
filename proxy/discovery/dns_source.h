#pragma once
// DnsSource: hosts by DNS names.  STRICT_DNS: each address of each name is a host.  LOGICAL_DNS:
// the one name stands for a service behind changing addresses; one of them is the host, and stays
// it as long as answers name it, so that rotated answers do not move connections.
//
// Each name is asked for again when its answer expires (respect_dns_ttl, at least min_ttl) or after
// dns_refresh_rate; after a failure with exponential back-off and full jitter.  Families fail
// separately: the addresses of one that could not be asked stay.  Addresses that stay keep their
// places, so that a reordered answer changes nothing.  IP addresses are never asked for.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/rng.h"
#include "proxy/discovery/source.h"
#include "proxy/io/resolver.h"
#include "proxy/upstream/cluster_config.h"

namespace pillion::discovery {

class DnsSource final : public Source {
 public:
  // All of it outlives the source.
  struct Context {
    io::Loop& loop;
    io::Resolver& resolver;
    Rng& rng;
    SourceObserver& observer;
  };
  // `config` is of one of the two types.  `previous` (may be null) is what an earlier source found:
  // its hosts of the same names and ports stay until DNS has answered, and keep their identity.
  DnsSource(const Context& context, const upstream::ClusterConfig& config,
            upstream::HostSetPtr previous);
  ~DnsSource() override;

  void start() override;
  [[nodiscard]] bool is_warm() const noexcept override { return unanswered_ == 0; }

  // Equal for configurations that may share a source.
  static std::string key_of(const upstream::ClusterConfig& config);

 private:
  class Target;  // one name
  void on_answer(Outcome outcome, bool is_first, std::string_view empty_name);
  // Makes hosts_ of what all targets know; false if nothing is new.
  bool rebuild();
  [[nodiscard]] Duration with_jitter(Duration wait) const;
  [[nodiscard]] Duration failure_wait(uint32_t failures) const;

  Context context_;
  const upstream::DnsOptions options_;
  const bool only_one_;  // LOGICAL_DNS
  std::vector<std::unique_ptr<Target>> targets_;
  size_t unanswered_ = 0;  // targets
};

}  // namespace pillion::discovery
