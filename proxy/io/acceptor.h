#pragma once
// Acceptor: takes connections from one listening socket on one loop.
//
// The socket itself is opened by open_listener(), on the control thread and before a commit, so
// that "address in use" is known in time; each worker gets its own (SO_REUSEPORT).

#include <cstdint>
#include <memory>

#include "proxy/base/result.h"
#include "proxy/io/address.h"
#include "proxy/io/loop.h"

namespace pillion::io {

struct ListenOptions {
  int backlog = 0;  // 0: net.core.somaxconn
  bool reuse_port = true;
  bool transparent = false;
  bool freebind = false;
  uint32_t unix_mode = 0;  // 0: as umask says
  // Inherited by accepted sockets; TCP_NODELAY always is.
  Duration user_timeout{};
};

// A bound, listening, non-blocking descriptor, or a sentence why not.
Result<int> open_listener(const Address& address, const ListenOptions& options);

class AcceptObserver {
 public:
  // Takes over `fd`, which is non-blocking.  May pause or drain the acceptor, not destroy it.
  virtual void on_accepted(int fd, const Address& peer) = 0;
  // Accepting failed (out of descriptors ...), or epoll refuses the listening socket; the acceptor
  // tries again in 100 ms.  The latter may be told within its constructor and resume().
  virtual void on_accept_error(int error) = 0;

 protected:
  ~AcceptObserver() = default;
};

class Acceptor final : private Pollable {
 public:
  // Takes over `listen_fd`.  At most `max_per_event` connections are taken per readiness event, so
  // that a burst of connections does not starve those that run.
  Acceptor(Loop& loop, int listen_fd, AcceptObserver& observer, uint32_t max_per_event = 64);
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // Stops taking connections (they wait in the kernel's queue) until resume().
  void pause();
  void resume();
  // Takes all that wait in the kernel's queue, paused or not, then closes the socket: nobody who
  // was queued is lost, unless descriptors run out.
  void drain_and_close();
  [[nodiscard]] int fd() const noexcept { return fd_; }

 private:
  void on_poll(uint32_t events) override;
  void run_ready() override {}
  // False when the queue is empty or accepting failed.
  bool accept_one();
  // Asks for readiness, unless paused or waiting to try again.
  void arm();
  void disarm() noexcept;
  void try_later(int error);
  void close() noexcept;

  Loop& loop_;
  AcceptObserver& observer_;
  int fd_;
  uint32_t max_per_event_;
  bool is_paused_ = false;
  bool is_armed_ = false;
  Timer retry_timer_ = Timer::of<&Acceptor::arm>(this);
};

}  // namespace pillion::io
