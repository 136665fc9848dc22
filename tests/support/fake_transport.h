#pragma once
// FakeTransport: two Transports joined in memory, driven by a Loop, for tests of what runs over
// them.
//
//   auto [client, server] = FakeTransport::make_pair(loop);
//   client->max_read = 1;          // deliver byte by byte
//   server->window = 100;          // the peer of `server` can send 100 bytes ahead
//
// Behaves like io::Socket: no callback inside a call, level-triggered readiness, short reads mean
// drained.  Each end is owned by whoever wraps it and may die before the other.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "proxy/io/loop.h"
#include "proxy/io/transport.h"

namespace pillion::testing {

class FakeTransport final : public io::Transport, private io::ReadyTask {
 public:
  using Pair = std::pair<std::unique_ptr<FakeTransport>, std::unique_ptr<FakeTransport>>;
  // The first end is a client (it announces on_connected), the second was "accepted".
  static Pair make_pair(io::Loop& loop);
  ~FakeTransport() override;

  // How much one read returns at most; asked before each read if set.
  size_t max_read = SIZE_MAX;
  std::function<size_t()> next_max_read;
  // How many bytes may wait here unread before the other end's writes fall short.
  size_t window = 1 << 20;
  // Sees, and may change, what this end writes.
  std::function<void(std::string&)> on_write;
  // Bytes appear here as if the other end had written them; then, perhaps, its FIN or RST.
  void inject(std::string_view bytes);
  void inject_fin();
  void inject_reset();

  uint64_t reads = 0;
  uint64_t writes = 0;
  uint64_t bytes_written = 0;
  uint64_t watched = 0;
  [[nodiscard]] bool peer_sent_fin() const { return fin_; }
  [[nodiscard]] bool was_closed() const { return closed_; }
  [[nodiscard]] std::string unread() const { return inbox_.substr(begin_); }

  void start(io::TransportObserver& observer) override;
  io::IoResult read(char* to, size_t capacity) override;
  io::IoResult write(const iovec* pieces, int count) override;
  void shutdown_write() override;
  void close(CloseMode mode = CloseMode::kOrderly) override;
  void pause(io::PauseReason reason) override;
  void resume(io::PauseReason reason) override;
  void read_again() override;
  void watch() override { ++watched; }
  [[nodiscard]] Failure failure() const noexcept override { return failure_; }

 private:
  FakeTransport(io::Loop& loop, bool announce) : loop_(loop), announce_(announce) {}
  void run_ready() override;
  void wake();
  void deliver_fin();

  io::Loop& loop_;
  FakeTransport* peer_ = nullptr;
  io::TransportObserver* observer_ = nullptr;
  std::string inbox_;
  size_t begin_ = 0;
  Failure failure_;
  uint8_t paused_ = 0;
  bool announce_;
  bool forced_ = false;    // read_again()
  bool readable_ = false;  // something new since the last notice
  bool want_write_ = false;
  bool fin_ = false;
  bool reset_ = false;
  bool closed_ = false;
};

}  // namespace pillion::testing
