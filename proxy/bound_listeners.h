#pragma once
// BoundListeners: the listeners in force with the addresses that they got from the kernel.
//
// Owned by the Server, on its loop.  The sockets themselves go to the workers with the update that
// open() fills.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/base/text_map.h"
#include "proxy/core/listener_config.h"
#include "proxy/io/address.h"
#include "proxy/worker.h"

namespace pillion {

class BoundListeners {
 public:
  struct Bound {
    std::shared_ptr<const core::ListenerConfig> config;
    std::vector<io::Address> addresses;  // as bound: a port 0 is resolved
  };
  // A sentence why a listener cannot be had.
  struct NotOpened {
    std::string listener;
    std::string reason;
  };

  // Opens the sockets of the update's new listeners, for so many workers, and forgets its removed
  // ones.  On an error nothing has changed, and nothing is open.
  Status<NotOpened> open(WorkerUpdate& update, uint32_t workers);

  // Null: no listener in force has this name.
  [[nodiscard]] const Bound* find(std::string_view name) const;
  // Of all of them.
  [[nodiscard]] std::vector<io::Address> addresses() const;
  // Tells the log where they listen.
  void log_listening(const std::vector<std::string>& names) const;

 private:
  TextMap<Bound> bound_;  // by name
};

}  // namespace pillion
