#pragma once
// AdsClient: one discovery stream, state of the world, over a cluster like any other: the
// aggregated one (envoy.service.discovery.v3.AggregatedDiscoveryService), or, by options.path, that
// of one type.
//
// Owned by control; lives on its loop.  It knows the protocol and nothing of what resources mean:
//
// The order of calls is Source's (source.h).
//
// Rules (reference/envoy.md, 4): the node goes with the first request of a stream; each response is
// answered once, with its nonce, and with the version last accepted; a nonce dies with its stream;
// a new stream begins with the versions and names that are known; names that were never asked for
// are not asked for by an empty list, which would mean all.  A broken stream is opened again after
// an exponential back-off with full jitter, reset by the first response.  Nothing is forgotten
// while the control plane is away.  A version that is refused again is told later and later, at
// most 5 s: servers that say it again at once would keep both of us busy.

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/rng.h"
#include "proxy/config/grpc_service.h"
#include "proxy/io/loop.h"
#include "proxy/upstream/cluster_client.h"
#include "proxy/upstream/grpc_call.h"
#include "xds/source.h"

namespace pillion::xds {

struct AdsOptions {
  AdsOptions() = default;
  // Who is asked, and how, as the configuration says.
  explicit AdsOptions(const config::GrpcService& service);

  // What is called (lives for ever), and what messages call it.
  std::string_view path =
      "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
  std::string peer = "the control plane";
  // A warning for each try that fails as the one before did, and for what does not come in time;
  // false: whoever asks tells it himself.
  bool tells_again = true;
  std::optional<ResourceType> only;  // a stream of this type alone
  std::string cluster;
  std::string authority;                                      // empty: the cluster's name
  std::string node;                                           // encoded envoy.config.core.v3.Node
  std::vector<std::pair<std::string, std::string>> metadata;  // initial_metadata: further headers
  Duration backoff_base = std::chrono::milliseconds(500);
  Duration backoff_max = std::chrono::seconds(30);
  size_t max_message_bytes = size_t{64} << 20;
};

class AdsClient final : public Source, private upstream::GrpcCallObserver {
 public:
  // All of them outlive the client.
  AdsClient(io::Loop& loop, Rng& rng, upstream::ClusterClient& clusters, SourceObserver& observer,
            AdsOptions options);

  void start() override;
  void stop() override;
  void subscribe_all(ResourceType type, Duration timeout) override;
  void subscribe(ResourceType type, const std::map<std::string, Duration>& names) override;
  void accept(ResourceType type) override;
  void reject(ResourceType type, std::string_view reason) override;
  void answered(ResourceType type, std::string_view name) override;
  [[nodiscard]] bool is_connected() const noexcept override { return is_connected_; }
  [[nodiscard]] const std::string& version(ResourceType type) const noexcept override;
  [[nodiscard]] const SourceCounts& counts(ResourceType type) const noexcept override;

 private:
  // A response that the observer has.
  struct Open {
    std::string version;
    uint64_t stream = 0;  // that it came by
  };
  struct Subscription {
    bool is_wanted = false;
    bool is_wildcard = false;
    std::set<std::string> names;
    std::map<std::string, Instant, std::less<>> awaited;  // name -> when it counts as missing
    std::string version;                                  // last accepted
    std::string nonce;                                    // newest of this stream
    bool was_sent = false;                                // on this stream
    std::optional<Open> open;                             // is being looked at
    std::deque<Response> waiting;                         // came meanwhile
    std::string refused;                                  // the version that was refused last
    uint32_t refusals = 0;                                // of it, one after the other
    std::string held_error;                               // of a NACK that is not sent yet
    Instant held_until{};                                 // the epoch: there is none
    SourceCounts counts;
  };

  void on_grpc_message(std::string_view bytes) override;
  void on_grpc_end(const upstream::GrpcEnd& end) override;

  void connect();
  void stream_ended(std::string_view reason);
  Duration next_wait();
  void take(Response&& response);
  void finish(ResourceType type, std::string_view error);
  void hold(Subscription& s, std::string_view error);
  void arm_hold_timer(Instant deadline);
  void answer_held();
  void answer(ResourceType type, std::string_view error);
  void send(ResourceType type, std::string_view error);
  void send_if_due(ResourceType type);
  void await(Subscription& s, std::string_view name, Duration timeout);
  void arm_fetch_timer(Instant deadline);
  void check_fetch_timeouts();
  void update_pause();
  Subscription& at(ResourceType type) { return subscriptions_[static_cast<size_t>(type)]; }

  io::Loop& loop_;
  Rng& rng_;
  SourceObserver& observer_;
  const AdsOptions options_;
  std::array<Subscription, kResourceTypes> subscriptions_;
  upstream::GrpcCall call_;
  uint64_t stream_ = 0;  // number of the call
  uint32_t failures_ = 0;
  std::string last_failure_;
  bool is_running_ = false;
  bool is_connected_ = false;
  bool is_paused_ = false;
  bool node_sent_ = false;
  io::Timer reconnect_timer_ = io::Timer::of<&AdsClient::connect>(this);
  io::Timer hold_timer_ = io::Timer::of<&AdsClient::answer_held>(this);
  io::Timer fetch_timer_ = io::Timer::of<&AdsClient::check_fetch_timeouts>(this);
};

}  // namespace pillion::xds
