#pragma once
// Socket: a stream socket of ours as a Transport (TCP or Unix).
//
// Reads and writes are direct system calls; the loop's Poller tells of readiness.  A socket enters
// epoll on its first EAGAIN, when watch() is called, or at the latest 10 ms after it was drained,
// so a short connection never does.  READABLE stays armed from then on; a pause takes effect when
// the next event arrives, so that pausing and resuming within a turn costs nothing; WRITABLE is
// armed only after a short write (shared/reference/io.md).

#include <memory>
#include <string>
#include <string_view>

#include "proxy/io/loop.h"
#include "proxy/io/transport.h"

namespace pillion::io {

// A peer that acknowledges nothing for this long is given up (TCP_USER_TIMEOUT), in both
// directions: the kernel's own patience is a quarter of an hour.
inline constexpr Duration kUserTimeout = std::chrono::seconds(30);

struct SocketOptions {
  bool no_delay = true;
  bool transparent = false;
  uint32_t mark = 0;
  Duration user_timeout{};  // TCP_USER_TIMEOUT; 0: the kernel's
  bool keepalive = false;   // SO_KEEPALIVE; its values, where not 0, instead of the kernel's
  uint32_t keepalive_probes = 0;
  uint32_t keepalive_time_s = 0;
  uint32_t keepalive_interval_s = 0;
  friend bool operator==(const SocketOptions&, const SocketOptions&) = default;
};
void apply_options(int fd, const SocketOptions& options) noexcept;

// How a connection is called that was open and broke: kPeerGone after a time limit of the kernel,
// else kDownstreamReset, whichever side it is.
FailureKind broken_by(int error) noexcept;

class Socket final : public Transport, public Pollable {
 public:
  // Takes over a connected, non-blocking descriptor (from accept).
  static std::unique_ptr<Socket> adopt(Loop& loop, int fd);
  // Begins to connect; the result arrives as on_connected or on_closed.  `source` may be kNone.
  // A local error (no descriptor, no route) is reported by on_closed too, after start().
  static std::unique_ptr<Socket> connect(Loop& loop, const Address& to, const Address& source,
                                         const SocketOptions& options);
  ~Socket() override;

  // Puts bytes that were read (by an inspector) back: the next reads return them first.
  void unread(std::string_view bytes) {
    if (!bytes.empty()) unread_ = std::make_unique<std::string>(bytes);
  }

  void start(TransportObserver& observer) override;
  IoResult read(char* to, size_t capacity) override;
  IoResult write(const iovec* pieces, int count) override;
  void shutdown_write() override;
  void close(CloseMode mode = CloseMode::kOrderly) override;
  void pause(PauseReason reason) override;
  void resume(PauseReason reason) override;
  void read_again() override;
  // Enters epoll if it has not yet.  Call when a connection becomes idle.
  void watch() override;
  [[nodiscard]] int raw_fd() const noexcept override { return unread_ == nullptr ? fd_ : -1; }
  [[nodiscard]] Failure failure() const noexcept override { return failure_; }
  [[nodiscard]] bool has_news() const noexcept override { return loop_.poller().is_pending(*this); }

  void want_writable() override;
  // Did connect() fail because its source cannot be bound?
  [[nodiscard]] bool bind_failed() const noexcept { return bind_failed_; }
  [[nodiscard]] Address local_address() const noexcept;
  [[nodiscard]] Address peer_address() const noexcept;

 private:
  // What is asked of epoll; 0: not in it.
  enum Interest : uint8_t { kReadable = 1, kWritable = 2, kFin = 4, kReset = 8 };
  Socket(Loop& loop, int fd, bool connecting) noexcept;
  void run_ready() override;
  IoResult read_unread(char* to, size_t capacity);
  void on_poll(uint32_t events) override;
  void update_interest();
  void set_interest(uint8_t want);
  void on_refused(bool was_in, int error) noexcept;
  void on_error();
  void finish_connect();
  void run_again() noexcept;
  void fail(FailureKind kind, int error) noexcept;

  Loop& loop_;
  TransportObserver* observer_ = nullptr;
  std::unique_ptr<std::string> unread_;
  Failure failure_;
  int fd_;
  uint8_t paused_ = 0;        // PauseReason bits
  uint8_t armed_ = 0;         // Interest bits
  bool watched_ : 1 = false;  // has entered epoll, once
  bool want_write_ : 1 = false;
  bool connecting_ : 1;
  bool announce_ : 1 = false;     // on_connected or on_closed is due in the ready queue
  bool read_paused_ : 1 = false;  // the pause has been carried out
  bool fin_seen_ : 1 = false;
  bool hup_seen_ : 1 = false;  // both directions have ended
  bool eof_ : 1 = false;       // fin_seen_, and all before it was read
  bool again_ : 1 = false;     // a read_again() waits for resume()
  bool broken_ : 1 = false;    // a read failed: the kernel would call the next one end of stream
  // epoll reported an error, which it would do for ever, or it refuses us: it is asked no more.
  bool stopped_ : 1 = false;
  bool bind_failed_ : 1 = false;
  bool closed_ : 1 = false;
};

}  // namespace pillion::io
