#pragma once
// Probe: one kind of health check against one host: it asks, and says what came of it.  Internal to
// health_check*.cc.
//
// Owned by the host's session.  Calls match: start (on_probe_done | cancel), again and again; the
// owner may destroy the probe at any time but inside on_probe_done().  A connection is kept between
// checks if the configuration says so.  Checks do not count as traffic of the cluster.

#include <memory>
#include <string>

#include "proxy/io/loop.h"
#include "proxy/io/writer.h"
#include "proxy/stats/blocks.h"
#include "proxy/upstream/cluster_config.h"

namespace pillion::upstream {

struct ProbeResult {
  enum class Kind : uint8_t {
    kPassed,
    kRefused,  // the host answered, and the answer is not what was asked for
    kNetwork,  // no answer
    kTimeout,
  };
  Kind kind = Kind::kPassed;
  bool is_retriable = false;  // of kRefused: counts as a failure of the network does
  bool is_degraded = false;   // of kPassed
  bool is_excluded = false;   // x-envoy-immediate-health-check-fail
  std::string reason;         // for the log
};

class Probe {
 public:
  class Owner {
   public:
    virtual void on_probe_done(const ProbeResult& result) = 0;

   protected:
    ~Owner() = default;
  };
  // All of it outlives the probe.
  struct Context {
    io::Loop& loop;
    io::WriteBatch& batch;
    const ClusterConfig& config;  // with health_check
    const HostInfo& host;
    stats::ClusterTlsStats* tls;  // may be null
    Owner& owner;
  };
  virtual ~Probe() = default;
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  virtual void start() = 0;
  // Gives the check up; its connection closes.
  virtual void cancel() = 0;

 protected:
  Probe() = default;
};

std::unique_ptr<Probe> make_http_probe(const Probe::Context& context);
std::unique_ptr<Probe> make_tcp_probe(const Probe::Context& context);
// A transport to where the host is checked; `alpn` as in ConnectTarget.
std::unique_ptr<io::Transport> make_probe_transport(const Probe::Context& context,
                                                    std::string_view alpn);
// Why a connection failed, in words.
std::string probe_failure_reason(Failure failure, std::string_view transport_reason);

}  // namespace pillion::upstream
