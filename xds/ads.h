#pragma once
// AdsClient: one discovery stream over a cluster like any other: the aggregated one
// (envoy.service.discovery.v3.AggregatedDiscoveryService), or, by options.only, that of one type;
// the state of the world, or delta.
//
// Owned by control; lives on its loop.  It has the stream and the time; what is said by the rules
// of the protocol is Subscription's, and what resources mean is the observer's.
//
// The order of calls is Source's (source.h).
//
// Each response of the server is answered once, on the stream that it came by, and the node goes
// with the first request of a stream.  Nothing is forgotten while the control plane is away, but
// what has a time to live: that arrives as a delta of its own, with `removed` alone and without a
// nonce, and is accepted as others are, while nobody is told.
//
// A broken stream is opened again after an exponential back-off with full jitter, which begins anew
// when a stream has answered and lived for a while.  With a second server (options.failover) the
// tries alternate, the first one comes first: a stream that was answered by either and ends is
// followed by a try of the first, and one that is not answered in 15 s counts as broken.
//
// What keeps servers from keeping us busy: a version that is refused again is told later and later,
// at most 5 s, and of a type at most one refusal a second, after ten; no more requests than
// options.requests lets pass; and while the observer is behind, a bounded number and size of
// messages waits, beyond which the stream is not read.

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/rng.h"
#include "proxy/base/token_bucket.h"
#include "proxy/config/grpc_service.h"
#include "proxy/io/loop.h"
#include "proxy/upstream/cluster_client.h"
#include "proxy/upstream/grpc_call.h"
#include "xds/awaited.h"
#include "xds/discovery_message.h"
#include "xds/method_path.h"
#include "xds/source.h"
#include "xds/subscription.h"

namespace pillion::xds {

struct AdsOptions {
  using Metadata = std::vector<std::pair<std::string, std::string>>;
  struct Server {
    std::string cluster;
    std::string authority;  // empty: the cluster's name
    Metadata metadata;      // initial_metadata: further headers
  };

  AdsOptions() = default;
  // Who is asked, and how, as the configuration says.
  explicit AdsOptions(const config::GrpcService& service);

  Protocol protocol = Protocol::kStateOfTheWorld;
  std::optional<ResourceType> only;        // the stream of one type; none: the aggregated one
  std::string peer = "the control plane";  // what messages call it
  // A warning for each try that fails as the one before did, and for what does not come in time;
  // false: whoever asks tells it himself.
  bool tells_again = true;
  std::string cluster;
  std::string authority;           // empty: the cluster's name
  std::string node;                // encoded envoy.config.core.v3.Node
  Metadata metadata;               // initial_metadata: further headers
  std::optional<Server> failover;  // is asked where the first does not answer
  std::optional<config::RateLimit> requests;
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
  void change(ResourceType type, const std::map<std::string, Duration>& names,
              const std::vector<std::string>& touched) override;
  void accept(ResourceType type) override;
  void reject(ResourceType type, std::string_view reason) override;
  void reject(ResourceType type, std::string_view reason,
              const std::set<std::string>& refused) override;
  void answered(ResourceType type, std::string_view name) override;
  bool release(ResourceType type) override;
  [[nodiscard]] bool is_connected() const noexcept override { return is_connected_; }
  [[nodiscard]] const std::string& version(ResourceType type) const noexcept override;
  [[nodiscard]] const SourceCounts& counts(ResourceType type) const noexcept override;

  // Does it talk to the second server?
  [[nodiscard]] bool is_failed_over() const noexcept { return is_failed_over_; }
  // How often options.requests has held a request up, and how many wait now.
  [[nodiscard]] RateCounts rate_counts() const noexcept override {
    return {rate_limit_enforced_, pending_requests_};
  }
  [[nodiscard]] uint64_t rate_limit_enforced() const noexcept { return rate_limit_enforced_; }
  [[nodiscard]] size_t pending_requests() const noexcept { return pending_requests_; }

 private:
  // A response that the observer has, and then the answer until it is sent.
  struct Open {
    std::string version;
    uint64_t stream = 0;  // that it came by; 0: by none, it is the end of a time to live
    bool is_decided = false;
    std::string error;     // of a NACK
    Instant not_before{};  // of its answer
  };
  struct Waiting {
    Response response;
    size_t bytes = 0;
  };
  // All of one type.
  struct Lane {
    Lane(ResourceType t, Protocol protocol) : type(t), says(Subscription::make(t, protocol)) {}

    ResourceType type;
    std::unique_ptr<Subscription> says;
    Awaited awaited;
    std::map<std::string, Instant, std::less<>> lives;  // name -> when it ends; others: never
    std::optional<Open> open;
    std::deque<Waiting> waiting;    // came meanwhile
    std::set<std::string> expired;  // likewise
    std::string refused;            // the version that was refused last
    uint32_t refusals = 0;          // of it, one after the other
    Instant refusals_until{};       // up to when refusals have used their rate
    SourceCounts counts;
  };

  void on_grpc_message(std::string_view bytes) override;
  void on_grpc_end(const upstream::GrpcEnd& end) override;

  // ads_stream.cc
  void connect();
  void stream_ended(std::string_view reason);
  void choose_next_server();
  Duration next_wait();
  void on_no_answer() { stream_ended("no answer in time"); }
  void flush();
  std::optional<size_t> next_due();
  bool is_due(Lane& lane);
  bool may_send();
  void say(Lane& lane);
  void update_pause();
  void warn_once(std::string_view reason);

  // ads.cc
  void take(Response&& response, size_t bytes);
  void begin(Lane& lane, Response&& response);
  bool look_at(Lane& lane, Response& response);
  void finish(ResourceType type, std::string_view error, const std::set<std::string>* refused);
  Duration hold(Lane& lane, Instant now);
  void close_open(Lane& lane);
  void begin_expired(Lane& lane);

  // ads_times.cc: what does not come, and what has come to its end
  void await(Lane& lane, std::string_view name, Duration timeout);
  void check_fetch_timeouts();
  void note_missing(Lane& lane, const Response& response);
  bool note_lives(Lane& lane, Response& response);
  void check_lives();
  void arm_earlier(io::Timer& timer, Instant deadline);

  Lane& lane(ResourceType type);
  [[nodiscard]] Lane* find(ResourceType type) const noexcept {
    return lanes_[static_cast<size_t>(type)].get();
  }
  template <typename Fn>
  void for_each_lane(Fn&& fn) {
    for (const std::unique_ptr<Lane>& lane : lanes_)
      if (lane != nullptr) fn(*lane);
  }

  io::Loop& loop_;
  Rng& rng_;
  SourceObserver& observer_;
  const AdsOptions options_;
  std::array<std::unique_ptr<Lane>, kResourceTypes> lanes_;  // null: never asked for
  upstream::GrpcCall call_;
  uint64_t stream_ = 0;  // number of the call
  Instant stream_began_{};
  Instant released_{};
  uint32_t failures_ = 0;
  std::string last_failure_;
  std::set<std::string> warned_;
  std::optional<TokenBucket> tokens_;
  uint64_t rate_limit_enforced_ = 0;
  size_t pending_requests_ = 0;
  size_t waiting_bytes_ = 0;
  size_t last_served_ = 0;  // whose request was sent last
  bool is_running_ = false;
  bool is_connected_ = false;
  bool is_failed_over_ = false;
  bool is_paused_ = false;
  bool is_flushing_ = false;
  bool node_sent_ = false;
  io::Timer reconnect_timer_ = io::Timer::of<&AdsClient::connect>(this);
  io::Timer answer_timer_ = io::Timer::of<&AdsClient::on_no_answer>(this);
  io::Timer flush_timer_ = io::Timer::of<&AdsClient::flush>(this);
  io::Timer fetch_timer_ = io::Timer::of<&AdsClient::check_fetch_timeouts>(this);
  io::Timer lives_timer_ = io::Timer::of<&AdsClient::check_lives>(this);
};

}  // namespace pillion::xds
