#pragma once
// Subscriptions: which source is asked for what.  The aggregated stream (ADS), a stream for each
// other server and type, and a file for each path and type look the same from here.
//
// Owned by ControlPlane, on the control loop.  A source begins with the first name that is asked of
// it and ends with the last.  A response carries its source (Response::source); it is answered by
// that number:
//
//   start(); subscribe...   ->  on_resources(response)  ->  accept(response.source, type) | reject
//
// An answer to a source that has ended meanwhile is dropped.
//
// By file: subscriptions.cc who is asked, and counters; subscriptions_last_good.cc the last good
// state, which stands for a control plane that does not answer; subscriptions_link.h one source.

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
#include "proxy/builder/wanted.h"
#include "proxy/control/last_good.h"
#include "proxy/io/loop.h"
#include "proxy/upstream/cluster_client.h"
#include "xds/ads.h"

namespace pillion {

class Subscriptions final : private LastGoodObserver {
 public:
  // All of them outlive it.
  struct Context {
    io::Loop& loop;
    Rng& rng;
    upstream::ClusterClient& clusters;
    std::string node;  // encoded envoy.config.core.v3.Node
    // Where what the aggregated stream says is kept, and read when it does not answer; empty: none.
    std::string last_good_path = {};
    std::string owner = {};  // whose it is
  };
  // `ads`: of the aggregated stream; none: there is none.  The observer hears on_connected() of
  // that stream alone.
  Subscriptions(Context context, std::optional<xds::AdsOptions> ads, xds::SourceObserver& observer);
  ~Subscriptions();

  void start();
  // For good.
  void stop();

  void subscribe_all(xds::ResourceType type, const config::ConfigSource& source);
  // Takes subscribe_all() back.
  void unsubscribe_all(xds::ResourceType type);
  void subscribe(xds::ResourceType type, const WantedNames& names);
  // Likewise, where since the last call only the `touched` names may have come, gone or got another
  // source; costs what they are, not what all are.
  void change(xds::ResourceType type, const pillion::Names& touched, const WantedNames& names);

  enum class Origin : uint8_t { kStream, kFile, kLastGood };
  // Of what this source says; of one that has ended: kStream.
  [[nodiscard]] Origin origin(uint32_t source) const noexcept;

  void accept(uint32_t source, xds::ResourceType type);
  // `refused`: all but these were taken; null: nothing was.
  void reject(uint32_t source, xds::ResourceType type, std::string_view reason,
              const std::set<std::string>* refused = nullptr);
  void answered(xds::ResourceType type, std::string_view name);
  // Nobody needs it any more, and its name was not asked for: it is kept no longer.
  void forget(xds::ResourceType type, const std::string& name);
  // Source::release() of all who are asked for that type.
  bool release(xds::ResourceType type);

  // Is there a stream to the control plane (of ADS, if there is one)?
  [[nodiscard]] bool is_connected() const noexcept;
  // Who is asked over such streams, and does not take it.
  [[nodiscard]] std::set<std::string> silent_clusters() const;
  // Of the source that is asked for everything of that type, else of one that is asked for names;
  // empty without one.
  [[nodiscard]] std::string_view version(xds::ResourceType type) const noexcept;
  // Of that source, or of all that are asked for names.
  [[nodiscard]] xds::SourceCounts counts(xds::ResourceType type) const noexcept;
  // Of all streams.
  [[nodiscard]] xds::RateCounts rate_counts() const noexcept;
  // Calls fn(name, times) for each name whose source could not be asked since the last call.
  template <typename Fn>
  void take_failures(xds::ResourceType type, Fn&& fn) {
    for (auto& [key, link] : links_) {
      const uint64_t times = new_failures(*link, type);
      if (times == 0) continue;
      for (const auto& [name, timeout] : names_of(*link, type)) fn(name, times);
    }
  }

  // What a source is asked for by name.
  using Names = xds::AskedNames;
  [[nodiscard]] const Names& asked(uint32_t source, xds::ResourceType type) const noexcept;

 private:
  class Link;
  static uint64_t new_failures(Link& link, xds::ResourceType type);
  static const Names& names_of(Link& link, xds::ResourceType type);
  [[nodiscard]] const Link* wildcard(xds::ResourceType type) const noexcept;
  Link& link(xds::ResourceType type, const config::ConfigSourcePtr& source);
  [[nodiscard]] std::unique_ptr<xds::Source> make(xds::ResourceType type,
                                                  const config::ConfigSource& source,
                                                  xds::SourceObserver& observer) const;
  // Whose this name is; null: nobody's, for there is no ADS.
  Link* link_of(xds::ResourceType type, const Wanted& wanted);
  // `touched`: of its names those that differ; null: any may.
  void tell(Link& link, xds::ResourceType type, const std::vector<std::string>* touched);
  // `names` of the aggregated stream are not asked for any more.
  void forget_unasked(const Link& link, xds::ResourceType type,
                      const std::vector<std::string>& names);
  void end_unused(xds::ResourceType type);
  [[nodiscard]] Link* find(uint32_t source) const noexcept;
  template <typename Fn>
  void for_each(xds::ResourceType type, Fn&& fn) const;
  // The last good state.
  void recall();
  void on_last_good(std::vector<xds::Response>&& responses) override;
  void heard(xds::Response& response);
  void confirm();
  void remove_unconfirmed(xds::ResourceType type);

  Context context_;
  std::optional<xds::AdsOptions> ads_options_;
  xds::SourceObserver& observer_;
  // ADS is the one of the empty key; else key and type.
  std::map<std::pair<std::string, size_t>, std::unique_ptr<Link>> links_;
  std::vector<std::unique_ptr<Link>> ended_;  // not destroyed inside of their own calls
  uint32_t last_number_ = 0;
  bool is_running_ = false;

  std::unique_ptr<LastGood> last_good_;  // null: nothing is kept
  std::unique_ptr<Link> cached_;         // null: it was not needed
  // What the aggregated stream has said of a type: the state of the world, or a difference.
  enum class Heard : uint8_t { kNothing, kAll, kDelta };
  std::array<Heard, xds::kResourceTypes> heard_{};
  // Of the last good state, by wildcard, and not said again by delta yet.
  std::array<std::set<std::string>, xds::kResourceTypes> unconfirmed_;
  io::Timer patience_timer_ = io::Timer::of<&Subscriptions::recall>(this);
  io::Timer confirm_timer_ = io::Timer::of<&Subscriptions::confirm>(this);
};

}  // namespace pillion
