#pragma once
// GuardedConnection: a downstream connection that its chain's network filters have not judged yet.
//
// Owned by its Listener's list.  It waits for the TLS handshake, asks the filters, and then either
// hands its transport over to the connection that serves it, which takes its place, or closes.  An
// idle connection costs nothing for having been guarded.

#include <memory>
#include <string>

#include "proxy/core/connection.h"
#include "proxy/core/network_filter.h"
#include "proxy/core/worker_context.h"

namespace pillion::core {

class GuardedConnection final : public Connection, private io::TransportObserver {
 public:
  // `server_name`: of TLS that does not end here; copied.
  GuardedConnection(WorkerContext& worker, ConnectionOwner& owner, Ref<ChainLine> line,
                    const ConnectionInfo& info, std::string_view server_name);
  ~GuardedConnection() override;

  void start(std::unique_ptr<io::Transport> transport) override;
  void close(Failure failure) override;
  void describe(StreamInfo& info) const override;

 private:
  void on_connected() override;
  void on_readable() override {}
  void on_writable() override {}
  void on_closed(Failure failure) override { close(failure); }

  void judge();
  void deny(const NetworkVerdict& verdict);
  void hand_over();
  void log() const;
  void on_timer();

  WorkerContext& worker_;
  Ref<ChainState> judge_;  // that refused it, pinned; null: none yet
  std::unique_ptr<io::Transport> transport_;
  std::string server_name_;
  std::string_view details_;  // why it is refused; empty: it is not
  Failure failure_;
  // The handshake's limit, then the delay of a refusal.
  io::Timer timer_ = io::Timer::of<&GuardedConnection::on_timer>(this);
  bool ended_ = false;
};

}  // namespace pillion::core
