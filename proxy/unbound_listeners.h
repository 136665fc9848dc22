#pragma once
// UnboundListeners: listeners that were accepted and could not have their addresses when they were
// to take effect, because somebody else had them by then.  They wait (builds hold them back), and
// their addresses are tried again, later and later, until they can be had; nobody else waits for
// them.
//
// Owned by the Server, on its loop.  add() and look_at() after each change of configuration.

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/base/clock.h"
#include "proxy/base/result.h"
#include "proxy/builder/listen_addresses.h"
#include "proxy/builder/resources.h"
#include "proxy/core/listener_config.h"
#include "proxy/io/loop.h"

namespace pillion {

class UnboundListenersHost {
 public:
  // Could it have its addresses now?  If not: why.
  virtual Status<> try_listener(const core::ListenerConfig& listener) = 0;
  // held() is less: a build may start some.
  virtual void on_addresses_free() = 0;

 protected:
  ~UnboundListenersHost() = default;
};

class UnboundListeners {
 public:
  static constexpr Duration kFirstDelay = std::chrono::seconds(1);
  static constexpr Duration kLongestDelay = std::chrono::seconds(30);

  struct Entry {
    std::shared_ptr<const core::ListenerConfig> listener;
    std::string reason;  // of the last try
    WallTime since{};    // of that reason
    Duration delay{};
    Instant next_try{};
    bool may_start = false;  // its addresses were free at the last try
  };

  // Both outlive it.
  UnboundListeners(io::Loop& loop, UnboundListenersHost& host) : loop_(loop), host_(host) {}
  ~UnboundListeners() { timer_.cancel(); }
  UnboundListeners(const UnboundListeners&) = delete;
  UnboundListeners& operator=(const UnboundListeners&) = delete;

  // Its sockets could not be opened.
  void add(const std::shared_ptr<const core::ListenerConfig>& listener, std::string reason);
  // Forgets those that listen, are gone, or shall listen elsewhere.
  void look_at(const Resources& resources);
  // An address may be free: all are tried soon.
  void try_now();
  // Before the loop ends.
  void stop() { timer_.cancel(); }

  // That a build must not start.
  [[nodiscard]] HeldListeners held() const;
  // Null: it does not wait for an address.
  [[nodiscard]] const Entry* find(std::string_view name) const;

 private:
  void try_due();
  void put_off(Entry& entry, std::string reason);
  void arm();

  io::Loop& loop_;
  UnboundListenersHost& host_;
  std::map<std::string, Entry, std::less<>> entries_;  // by name
  io::Timer timer_ = io::Timer::of<&UnboundListeners::try_due>(this);
};

}  // namespace pillion
