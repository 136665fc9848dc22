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
// Each response of the server is answered once, on the stream that it came by, but for those of the
// state of the world that a newer one has replaced before they were looked at (pending.h); and the
// node goes with the first request of a stream.  Nothing is forgotten while the control plane is
// away, but what has a time to live: that arrives as a delta of its own, with `removed` alone and
// without a nonce, and is accepted as others are, while nobody is told.
//
// A server is there once it takes what it is asked (HTTP/2: its SETTINGS have come), and as long as
// its connection lives; it need not say anything where nothing is new.  A broken stream is opened
// again after an exponential back-off with full jitter, which begins anew when a stream has lived
// for a while.  With a second server (options.failover) the tries alternate, the first one comes
// first: a stream that either has answered, or kept for 15 s, and that ends is followed by a try of
// the first, and one that is not taken in 15 s counts as broken.
//
// What keeps servers from keeping us busy: a version that is refused again is told later and later,
// at most 5 s, and of a type at most one refusal a second, after ten; no more requests than
// options.requests lets pass.  Responses that come meanwhile are one (pending.h), which is looked
// at, and the refusal told, after a pause of four times as long as the refused one took, at least
// 100 ms: so a refusal holds up neither another type nor what is good.  Of those no more are read
// than 64 in 100 ms, or 16 MiB at a time.

#include <algorithm>
#include <array>
#include <cstdint>
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
#include "xds/pending.h"
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
  void subscribe(ResourceType type, const AskedNames& names) override;
  void change(ResourceType type, const AskedNames& names,
              const std::vector<std::string>& touched) override;
  void accept(ResourceType type) override;
  void reject(ResourceType type, std::string_view reason) override;
  void reject(ResourceType type, std::string_view reason,
              const std::set<std::string>& refused) override;
  void answered(ResourceType type, std::string_view name) override;
  bool release(ResourceType type) override;
  [[nodiscard]] bool is_connected() const noexcept override { return is_connected_; }
  [[nodiscard]] std::string_view cluster() const noexcept override {
    return is_failed_over_ ? options_.failover->cluster : options_.cluster;
  }
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
  // Responses that the observer has, as one, and then the answers until they are sent.
  struct Open {
    std::string version;
    uint64_t stream = 0;      // that they came by; 0: by none, it is the end of a time to live
    std::vector<Part> parts;  // of which it was made
    Instant began{};
    bool is_decided = false;
    std::vector<Reply> replies = {};
    size_t replied = 0;    // so many of them were sent
    Instant not_before{};  // of refusals
    Instant gives_way{};   // likewise, once something waits

    [[nodiscard]] const Reply* next_reply() const {
      return replied < replies.size() ? &replies[replied] : nullptr;
    }
  };
  // All of one type.
  struct Lane {
    Lane(ResourceType t, Protocol protocol) : type(t), says(Subscription::make(t, protocol)) {}

    ResourceType type;
    std::unique_ptr<Subscription> says;
    Awaited awaited;
    std::map<std::string, Instant, std::less<>> lives;  // name -> when it ends; others: never
    std::optional<Open> open;
    std::optional<Pending> waiting;        // came meanwhile
    std::optional<Pending> waiting_wrong;  // likewise; all of it is to be refused
    std::set<std::string> expired;         // likewise
    std::string refused;                   // the version that was refused last
    uint32_t refusals = 0;                 // of it, one after the other
    Instant refusals_until{};              // up to when refusals have used their rate
    SourceCounts counts;

    // When open's next reply may be sent.
    [[nodiscard]] Instant reply_at() const {
      if (open->next_reply()->error.empty()) return {};
      const bool must_give_way = waiting || waiting_wrong || !expired.empty();
      return must_give_way ? std::min(open->not_before, open->gives_way) : open->not_before;
    }
  };

  void on_grpc_message(std::string_view bytes) override;
  void on_grpc_end(const upstream::GrpcEnd& end) override;
  void on_grpc_drained() override;

  // ads_stream.cc
  void connect();
  void stream_ended(std::string_view reason);
  void choose_next_server();
  Duration next_wait();
  void on_not_taken() { stream_ended("it does not take the stream in time"); }
  [[nodiscard]] bool was_well() const;
  void connected(std::string_view text);
  void flush();
  std::optional<size_t> next_due();
  bool is_due(Lane& lane);
  [[nodiscard]] const Reply* next_reply(const Lane& lane) const {
    return lane.open && lane.open->stream == stream_ ? lane.open->next_reply() : nullptr;
  }
  bool may_send();
  void say(Lane& lane);
  void note_crowd();
  void update_pause();
  void warn_once(std::string_view reason);

  // ads.cc
  void take(Response&& response);
  static void wait(Lane& lane, Response&& response);
  void begin(Lane& lane, Pending&& pending);
  bool look_at(Lane& lane, Response& response);
  void finish(ResourceType type, std::string_view error, const std::set<std::string>* refused);
  void count(Lane& lane);
  Duration hold(Lane& lane, Instant now);
  void close_open(Lane& lane);
  void begin_expired(Lane& lane);

  // ads_times.cc: what does not come, and what has come to its end
  void await(Lane& lane, std::string_view name, Duration timeout);
  void check_fetch_timeouts();
  void note_missing(Lane& lane, const Response& response);
  bool note_lives(Lane& lane, Response& response);
  static void forget_lives(Lane& lane, const Response& response);
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
  size_t last_served_ = 0;  // whose request was sent last
  // Responses that had to wait, since the beginning of a short time.
  size_t crowd_ = 0;
  Instant crowd_until_{};
  bool is_running_ = false;
  bool is_connected_ = false;
  bool has_answered_ = false;  // on this stream
  bool is_failed_over_ = false;
  bool is_paused_ = false;
  bool is_flushing_ = false;
  bool node_sent_ = false;
  io::Timer reconnect_timer_ = io::Timer::of<&AdsClient::connect>(this);
  io::Timer answer_timer_ = io::Timer::of<&AdsClient::on_not_taken>(this);
  io::Timer crowd_timer_ = io::Timer::of<&AdsClient::update_pause>(this);
  io::Timer flush_timer_ = io::Timer::of<&AdsClient::flush>(this);
  io::Timer fetch_timer_ = io::Timer::of<&AdsClient::check_fetch_timeouts>(this);
  io::Timer lives_timer_ = io::Timer::of<&AdsClient::check_lives>(this);
};

}  // namespace pillion::xds
