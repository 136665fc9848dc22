#pragma once
// BoundListeners: the listeners in force with the addresses that they got from the kernel.
//
// Owned by the Server, on its loop.  The sockets themselves go to the workers with the update
// (socket_opener.h).

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/text_map.h"
#include "proxy/builder/listen_addresses.h"
#include "proxy/core/listener_config.h"
#include "proxy/io/address.h"
#include "proxy/worker.h"

namespace pillion {

class BoundListeners {
 public:
  struct Bound {
    std::shared_ptr<const core::ListenerConfig> config;
    std::vector<io::Address> addresses;  // as bound: a port 0 is resolved
    bool is_stopped = false;             // it was new when listeners were stopped: no sockets
  };
  // What the update changes; `bound`: the addresses of its new listeners, in their order.
  void take(const WorkerUpdate& update, std::vector<std::vector<io::Address>> bound,
            StoppedListeners stopped);

  // Null: no listener in force has this name.
  [[nodiscard]] const Bound* find(std::string_view name) const;
  // Of all of them.
  [[nodiscard]] std::vector<io::Address> addresses() const;
  // As configured.
  [[nodiscard]] std::shared_ptr<const OurAddresses> ours() const;
  // Tells the log where they listen.
  void log_listening(const std::vector<std::string>& names) const;

 private:
  TextMap<Bound> bound_;                              // by name
  mutable std::shared_ptr<const OurAddresses> ours_;  // null: not made since a change
};

}  // namespace pillion
