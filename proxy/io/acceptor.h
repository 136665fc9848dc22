#pragma once
// Acceptor: takes connections from one listening socket on one loop.
//
// The socket itself is bound by bind_listener(), on the control thread and before a commit, so
// that "address in use" is known in time; each worker gets its own (SO_REUSEPORT).  One that takes
// the place of another listens only once it has an Acceptor: the kernel gives a listening socket
// its share of the clients at once, and they would wait while the new configuration warms up.
// Others come listening (open_listener): an address that is only bound can be bound by others as
// well.

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

// A bound, non-blocking descriptor for an Acceptor, which makes it listen, or a sentence why not.
// Only for TCP, beside a socket of ours that listens there.
Result<int> bind_listener(const Address& address, const ListenOptions& options);
// One that listens already.
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
  // Takes over `bound_fd` and listens.  At most `max_per_event` connections are taken per readiness
  // event, so that a burst of connections does not starve those that run.  `backlog`: as in
  // ListenOptions.
  Acceptor(Loop& loop, int bound_fd, AcceptObserver& observer, uint32_t max_per_event = 64,
           int backlog = 0);
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
  // Why it does not listen, as errno; 0: it does.  bind() lets two processes have an address as
  // long as neither listens, so that the second listen() may fail.  It is tried again every second.
  [[nodiscard]] int listen_error() const noexcept { return listen_error_; }

 private:
  void on_poll(uint32_t events) override;
  void run_ready() override {}
  // False when the queue is empty or accepting failed.
  bool accept_one();
  // Listens if it does not yet, and asks for readiness, unless paused or waiting to try again.
  void arm();
  bool listen();
  void disarm() noexcept;
  void try_later(int error);
  [[nodiscard]] uint32_t queued() const noexcept;
  void close() noexcept;

  Loop& loop_;
  AcceptObserver& observer_;
  int fd_;
  uint32_t max_per_event_;
  int backlog_;
  int listen_error_ = 0;
  bool is_listening_ = false;
  bool is_paused_ = false;
  bool is_armed_ = false;
  Timer retry_timer_ = Timer::of<&Acceptor::arm>(this);
};

}  // namespace pillion::io
