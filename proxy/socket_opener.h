#pragma once
// SocketOpener: opens the sockets of a change's new listeners, one listener after the other, so
// that control can do it in portions, and goes on past those that fail.
//
//   open_next() until it is false  ->  failures()  ->  leave_out() what stays as it is  ->  keep()
//
// Owned by the Server's change; `update` outlives it.  What was opened and not kept is closed when
// it ends.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "proxy/builder/listen_addresses.h"
#include "proxy/builder/wanted.h"
#include "proxy/listen_sockets.h"
#include "proxy/worker.h"

namespace pillion {

class SocketOpener {
 public:
  struct Failure {
    std::shared_ptr<const core::ListenerConfig> listener;
    std::string reason;
  };
  // `ours`: of the listeners in force.  Those that are stopped get no sockets, and cannot fail.
  SocketOpener(WorkerUpdate& update, uint32_t workers, const OurAddresses& ours,
               StoppedListeners stopped)
      : update_(update), workers_(workers), stopped_(stopped) {
    if (!update.new_listeners.empty()) ours_ = ours;
  }
  ~SocketOpener();
  SocketOpener(const SocketOpener&) = delete;
  SocketOpener& operator=(const SocketOpener&) = delete;

  // Those of one listener; false: there is none left.
  bool open_next();
  [[nodiscard]] const std::vector<Failure>& failures() const noexcept { return failures_; }
  // They are not a part of the update any more, and what they had in force stays.
  void leave_out(const Names& listeners);
  // The sockets are the update's; returned are the addresses of its new listeners, in their order.
  [[nodiscard]] std::vector<std::vector<io::Address>> keep();

 private:
  WorkerUpdate& update_;
  const uint32_t workers_;
  const StoppedListeners stopped_;
  OurAddresses ours_;                  // and what was opened
  std::vector<ListenSockets> opened_;  // of the first new listeners; of failed ones nothing
  std::vector<Failure> failures_;
};

}  // namespace pillion
