#pragma once
// Pool: the HTTP/1 connections that one worker keeps to one host for one PoolKey.
//
// Owned by the worker's Host.  A request takes the connection that was used last, so that spare
// ones grow old and close.  HTTP/1 is never pipelined upstream: without an idle connection a new one
// is opened, and the request waits for whichever is ready first.
//
// Calls per waiter match: acquire (returned connection | on_pool_ready | on_pool_failure | cancel).
// acquire() never calls the waiter on the caller's stack.  Closing the pool fails every waiter.
// An idle connection is watched: if the peer closes it or sends something, it leaves the pool in
// the turn that learns of it, and so is not handed out.

#include <cstdint>
#include <memory>

#include "proxy/base/intrusive_list.h"
#include "proxy/http/h1_client.h"
#include "proxy/io/socket.h"
#include "proxy/stats/blocks.h"
#include "proxy/upstream/limits.h"

namespace pillion::upstream {

// Makes what runs over the socket; null in PoolOptions for plain text.  Immutable, shared.
class TransportWrapper {
 public:
  virtual ~TransportWrapper() = default;
  virtual std::unique_ptr<io::Transport> wrap(io::Loop& loop, std::unique_ptr<io::Transport> lower) const = 0;
};

struct PoolOptions {
  http::HeadLimits head_limits;
  io::SocketOptions socket;
  io::Address source;              // kNone: chosen by the kernel
  Duration connect_timeout = std::chrono::seconds(5);
  Duration idle_timeout = std::chrono::seconds(60);      // 0: never
  Duration max_connection_duration{};                    // 0: none
  uint32_t max_requests_per_connection = 0;              // 0: no limit
  LimitValues limits;
  const TransportWrapper* wrapper = nullptr;
};

struct WaiterTag {};

class PoolWaiter : public ListNode<WaiterTag> {
 public:
  // The connection is idle and now the waiter's: it calls begin() at once.
  virtual void on_pool_ready(http::H1ClientConnection& connection) = 0;
  virtual void on_pool_failure(Failure failure) = 0;

 protected:
  ~PoolWaiter() = default;
};

class Pool final : private http::H1ClientConnection::Owner, public io::Deferred {
 public:
  // All references outlive the pool; `options` is kept alive by the host's cluster.
  struct Context {
    io::Loop& loop;
    io::WriteBatch& batch;
    const PoolOptions& options;
    SharedLimits& limits;
    stats::ClusterStats& stats;
  };
  Pool(const Context& context, const io::Address& address);
  ~Pool() override;

  // An idle connection, or null: then `waiter` is queued, or was refused (`*refused` says why).
  http::H1ClientConnection* acquire(PoolWaiter& waiter, Failure* refused);
  // A waiter that lost interest.
  void cancel(PoolWaiter& waiter);
  // A connection of its own to the pool's host, for who does not speak HTTP; connecting, not counted.
  [[nodiscard]] std::unique_ptr<io::Transport> open_transport();
  // Stops handing out; idle connections close now, busy ones after their exchange.
  void drain();
  void close_all(Failure failure);

  [[nodiscard]] bool is_empty() const noexcept { return open_ == 0 && waiters_.empty(); }
  [[nodiscard]] uint32_t open_connections() const noexcept { return open_; }

 private:
  struct AllTag {};
  struct IdleTag {};
  struct Entry;  // a connection with its place in the pool's lists

  void on_client_connected(http::H1ClientConnection& connection) override;
  void on_client_idle(http::H1ClientConnection& connection) override;
  void on_client_closed(http::H1ClientConnection& connection, Failure failure) override;
  void on_client_event(http::H1ClientConnection::Event event) override;
  void on_client_bytes(uint64_t received, uint64_t sent) override;

  bool open_connection();
  static Entry* entry_of(http::H1ClientConnection& connection) noexcept;
  void serve_or_keep(Entry& entry);
  void on_idle_timer();
  void on_connect_timer();

  Context context_;
  io::Address address_;
  IntrusiveList<PoolWaiter, WaiterTag> waiters_;
  IntrusiveList<Entry, AllTag> connecting_;
  IntrusiveList<Entry, AllTag> ready_;      // connected, idle or busy
  IntrusiveList<Entry, IdleTag> idle_;      // front: used last
  io::Timer idle_timer_ = io::Timer::of<&Pool::on_idle_timer>(this);
  io::Timer connect_timer_ = io::Timer::of<&Pool::on_connect_timer>(this);
  uint32_t open_ = 0;
  uint32_t connecting_count_ = 0;
  uint32_t waiting_ = 0;
  bool draining_ = false;
};

}  // namespace pillion::upstream
