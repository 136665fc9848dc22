#pragma once
// Source: where resources come from, whoever says them: a discovery stream (ads.h) or a file
// (file_source.h).
//
// Owned by who asks (proxy/control/subscriptions.h, certs/); on control's loop.
//
//   source.start(); source.subscribe(type, names) at any time, again for other names
//      on_resources(response)  ->  accept(type) | reject(type, reason), now or later, exactly once,
//                                  reject() if response.wrong; the next response of that type
//                                  comes after it
//
// What was said is never taken back because nobody can be asked any more.

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/shared_text.h"
#include "xds/discovery_message.h"

namespace pillion::xds {

// Since the start; for counters.
struct SourceCounts {
  uint64_t attempts = 0;  // Envoy's: the subscription, and each of its ends below or by a timeout
  uint64_t success = 0;   // accepted
  uint64_t failure = 0;   // nobody could be asked
  uint64_t rejected = 0;
  WallTime success_time{};
  // Responses without an effect and an answer, for a newer one came before they could be looked at.
  uint64_t superseded = 0;
};

// Of rate_limit_settings.
struct RateCounts {
  uint64_t enforced = 0;  // since the start: times that requests were held up
  uint64_t pending = 0;   // requests that wait now
};

// What a source is asked for by name, each with its initial_fetch_timeout; 0: without end.
using AskedNames = std::map<SharedText, Duration, std::less<>>;

class SourceObserver {
 public:
  virtual void on_resources(Response&& response) = 0;
  // These names (of a wildcard: none) were not answered within the time that subscribe() gave, or
  // the server has said that there is nothing of that name.  They stay subscribed.
  virtual void on_fetch_timeout(ResourceType type, const std::set<std::string>& names) = 0;
  // It takes what it is asked; and once more when it has said what it is called.  `cluster`: who;
  // `text`: what it is called, or the reason of the end.
  virtual void on_connected(bool connected, std::string_view cluster, std::string_view text) = 0;

 protected:
  ~SourceObserver() = default;
};

class Source {
 public:
  Source() = default;
  virtual ~Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  virtual void start() = 0;
  // For good.
  virtual void stop() = 0;

  // From now on: everything of that type.  `timeout`: until on_fetch_timeout(); 0: never.
  virtual void subscribe_all(ResourceType type, Duration timeout) = 0;
  // From now on: these names alone, each with its own timeout, which counts for those that are new.
  virtual void subscribe(ResourceType type, const AskedNames& names) = 0;

  // Likewise, where a few of many names may be other ones: `names` are all, `touched` those that
  // have come or gone.
  virtual void change(ResourceType type, const AskedNames& names,
                      const std::vector<std::string>& /*touched*/) {
    subscribe(type, names);
  }

  virtual void accept(ResourceType type) = 0;
  // Nothing of it was taken; or all but what is named: by delta the server is told of these
  // versions when it is asked again.
  virtual void reject(ResourceType type, std::string_view reason) = 0;
  virtual void reject(ResourceType type, std::string_view reason,
                      const std::set<std::string>& refused) = 0;
  // This name was answered, so that no timeout comes for it; for a wildcard none need be named, nor
  // what is removed or in error.
  virtual void answered(ResourceType type, std::string_view name) = 0;

  // A refusal that is told late, because it was told before, is told now.  False: there is none, or
  // one was let go a moment ago.
  virtual bool release(ResourceType) { return false; }

  [[nodiscard]] virtual bool is_connected() const noexcept = 0;
  // Who is asked now, or next; empty: a file is.
  [[nodiscard]] virtual std::string_view cluster() const noexcept { return {}; }
  // Last accepted.
  [[nodiscard]] virtual const std::string& version(ResourceType type) const noexcept = 0;
  [[nodiscard]] virtual const SourceCounts& counts(ResourceType type) const noexcept = 0;
  [[nodiscard]] virtual RateCounts rate_counts() const noexcept { return {}; }
};

}  // namespace pillion::xds
