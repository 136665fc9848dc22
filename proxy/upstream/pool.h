#pragma once
// Pool: the HTTP connections that one worker keeps to one host for one PoolKey.
//
// All go over one transport socket, which the host's labels choose and which stays: other labels
// make another host, another socket another connection_hash.
//
// Owned by the worker's Host.  A request takes the connection that was used last, so that spare
// ones grow old and close.  HTTP/1 is never pipelined upstream, an HTTP/2 connection carries as
// many requests as its peer and we allow.  Without room on any a new one is opened, and the request
// waits for whichever is ready first.  A peer that allows no stream at all is waited for, not
// connected to again.
//
// What a pool of PoolProtocol::kAuto speaks is known once a connection's TLS handshake is done:
// HTTP/2 if the peer chose it by ALPN, else HTTP/1.
//
// Calls per waiter match: acquire (returned connection | on_pool_ready | on_pool_failure | cancel).
// acquire() never calls the waiter on the caller's stack.  Closing the pool fails every waiter.
// An idle connection is watched: if the peer closes it or sends something, it leaves the pool in
// the turn that learns of it, and so is not handed out.  One that its peer or an age ends takes no
// further request; those that run go on.
//
// A waiter always has a connection on its way or due, or a busy one of this pool to hope for: a
// connect that fails takes with it the waiters that no other connect is for.  Connects are made
// later in the turn and some per turn (io::Loop::may_connect), pools taking turns: requests that
// are cancelled as fast as they come cost none.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/base/intrusive_list.h"
#include "proxy/http/client_connection.h"
#include "proxy/io/ready_task.h"
#include "proxy/io/socket.h"
#include "proxy/io/writer.h"
#include "proxy/stats/registry.h"
#include "proxy/upstream/cluster_config.h"

namespace pillion::upstream {

struct WaiterTag {};

class PoolWaiter : public ListNode<WaiterTag> {
 public:
  // The connection has room, which is now the waiter's: it calls begin() at once.
  virtual void on_pool_ready(http::ClientConnection& connection) = 0;
  // Pool::last_failure_reason() says more.
  virtual void on_pool_failure(Failure failure) = 0;

 protected:
  ~PoolWaiter() = default;
};

// What a worker counts for a cluster.
struct ClusterBlocks {
  stats::BlockRef<stats::ClusterStats> traffic;
  stats::BlockRef<stats::ClusterHttp1Stats> http1;
  stats::BlockRef<stats::ClusterHttp2Stats> http2;  // only if the cluster may speak it
  stats::BlockRef<stats::ClusterTlsStats> tls;      // these two only if the cluster speaks TLS
  stats::BlockRef<stats::ClusterTlsFactoryStats> tls_factory;
  stats::BlockRef<stats::ClusterRetryStats> retry;  // made at the first response that is retried
};

class Pool final : private http::ClientConnection::Owner,
                   private io::ReadyTask,
                   public io::Deferred {
 public:
  // The references outlive the pool's last connection.
  struct Context {
    io::Loop& loop;
    io::WriteBatch& batch;
    ClusterBlocks& stats;
    std::shared_ptr<const ClusterConfig> config;
    uint16_t worker;
  };
  // `host` and its counters outlive close_all().
  Pool(const Context& context, const HostInfo& host, HostCounters& counters, PoolProtocol protocol);
  ~Pool() override;  // after close_all()

  // A connection with room, or null: then `waiter` is queued, or was refused (`*refused` says why).
  http::ClientConnection* acquire(PoolWaiter& waiter, Failure* refused);
  // A waiter that lost interest.
  void cancel(PoolWaiter& waiter);
  // Idle connections close now, the others after their exchange.  Whoever still holds the host may
  // go on acquiring.
  void drain();
  // Idle connections close now; the pool goes on.
  void close_idle();
  // Ends everything; nothing can be acquired any more.
  void close_all(Failure failure);
  // Ends everything, and itself at the end of the turn: its owner lets go of it.
  void bury(Failure failure) {
    close_all(failure);
    loop_.delete_later(this);
  }
  // A configuration with an equal connection_hash takes effect: at once, but for connections that
  // were already given their deadline.
  void set_config(std::shared_ptr<const ClusterConfig> config);

  // A transport that connects to the host as the pool's own do, for users that need bytes instead
  // of HTTP.  They start, count and close it.  `alpn`: as on the wire, offered if the TLS context
  // names no protocols.
  [[nodiscard]] std::unique_ptr<io::Transport> make_transport(std::string_view alpn = {});

  // Why the last connect failed, in words, for %UPSTREAM_TRANSPORT_FAILURE_REASON%; valid until the
  // next one fails.
  [[nodiscard]] std::string_view last_failure_reason() const noexcept {
    return last_failure_ ? std::string_view(*last_failure_) : std::string_view();
  }
  [[nodiscard]] PoolProtocol protocol() const noexcept { return protocol_; }
  // Does the host's transport socket speak TLS?
  [[nodiscard]] bool has_tls() const noexcept { return tls_ != nullptr; }
  [[nodiscard]] bool is_empty() const noexcept { return open_ == 0 && waiters_.empty(); }
  [[nodiscard]] uint32_t open_connections() const noexcept { return open_; }
  [[nodiscard]] uint32_t waiting() const noexcept { return waiting_; }

 private:
  struct AllTag {};
  struct AvailableTag {};
  struct Entry;  // a connection with its place in the pool's lists

  void on_client_connected(http::ClientConnection& connection) override;
  void on_client_idle(http::ClientConnection& connection) override;
  void on_client_room(http::ClientConnection& connection) override;
  void on_client_leaving(http::ClientConnection& connection) override;
  void on_client_closed(http::ClientConnection& connection, Failure failure) override;
  void on_client_event(http::ClientConnection& connection,
                       http::ClientConnection::Event event) override;
  void on_client_flood(http::ClientConnection& connection, http::H2Flood flood) override;
  void on_client_bytes(uint64_t received, uint64_t sent) override;

  Entry* find_room(bool* promised = nullptr);
  http::ClientConnection& take(Entry& entry) noexcept;
  void serve_waiters();
  bool open_connection();
  // Connections for the waiters that none is on its way for, later in this turn.
  void open_soon();
  void run_ready() override;
  // Opens one if fewer are on their way than waiters need; true if it did.
  bool open_for_waiters();
  // So many waiters came since the last connect was tried.
  [[nodiscard]] uint32_t due() const noexcept { return io::ReadyTask::is_linked() ? due_ : 0; }
  bool allows_none();
  std::unique_ptr<http::ClientConnection> make_connection(http::Protocol protocol);
  void settle_protocol(Entry& entry);
  static Entry* entry_of(http::ClientConnection& connection) noexcept;
  // Is it too old, or has it served enough?  Then it was counted, and is to be closed.
  bool is_used_up(const Entry& entry);
  bool is_past(Instant since, Duration limit) const noexcept;
  void serve_or_keep(Entry& entry);
  void keep(Entry& entry);
  void make_available(Entry& entry);
  // No new exchanges on it; it closes after those that run, so perhaps now.
  void retire(Entry& entry, FailureKind kind);
  void close_entry(Entry& entry, FailureKind kind);
  void count_closed(const Entry& entry, Failure failure);
  void count_sent(Entry& entry);
  void count_h1_event(http::ClientConnection::Event event);
  void count_h2_event(http::ClientConnection::Event event);
  void log_closed(const Entry& entry, Failure failure) const;
  void note_failure(const Entry& entry, Failure failure);
  void fail_stranded(Failure failure);
  void on_idle_timer();
  void on_connect_timer();
  [[nodiscard]] const PoolOptions& options() const noexcept { return *config_->pool; }
  [[nodiscard]] SharedLimits& limits() const noexcept { return *config_->limits; }
  [[nodiscard]] stats::ClusterStats& traffic() const noexcept { return *stats_.traffic; }

  io::Loop& loop_;
  io::WriteBatch& batch_;
  ClusterBlocks& stats_;
  std::shared_ptr<const ClusterConfig> config_;
  const HostInfo& host_;
  const tls::ContextSlot* tls_;  // what the host's labels choose, in config_; null: plain text
  HostCounters& counters_;
  http::H1Limits head_limits_;  // connections refer to these while configurations come and go
  http::H2Options h2_options_;
  IntrusiveList<PoolWaiter, WaiterTag> waiters_;
  IntrusiveList<Entry, AllTag> connecting_;
  IntrusiveList<Entry, AllTag> ready_;            // connected, idle or busy
  IntrusiveList<Entry, AvailableTag> available_;  // with room for an exchange; front: used last
  io::Timer idle_timer_ = io::Timer::of<&Pool::on_idle_timer>(this);
  io::Timer connect_timer_ = io::Timer::of<&Pool::on_connect_timer>(this);
  std::unique_ptr<std::string> last_failure_;
  uint32_t open_ = 0;
  uint32_t planned_ = 0;  // how many waiters the connections on their way are for
  uint32_t due_ = 0;      // valid until run_ready(): see due()
  uint32_t waiting_ = 0;
  uint32_t expected_streams_;  // of the next connection: at first as configured, then as learned
  const PoolProtocol protocol_;
  bool draining_ = false;
  bool closed_ = false;
};

}  // namespace pillion::upstream
