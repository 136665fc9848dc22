#pragma once
// Http2Connection: a client's HTTP/2 connection under an HttpConnectionManager: codec, streams,
// timeouts, drain.  Takes the place of an HttpConnection when that has learned the protocol.
//
// Owned by its Listener's list; when it closes it tells the ConnectionOwner, which passes it to
// Loop::delete_later.  Each exchange pins the configuration that it began with;
// the connection pins none (chain_line.h).

#include <memory>

#include "proxy/core/connection.h"
#include "proxy/core/stream.h"
#include "proxy/http/h2_server.h"

namespace pillion::core {

class Http2Exchange;

class Http2Connection final : public Connection, private http::H2ServerConnection::Owner {
 public:
  Http2Connection(WorkerContext& worker, ConnectionOwner& owner, Ref<ChainLine> line,
                  const ConnectionInfo& info);
  ~Http2Connection() override;

  // As take_over() of a transport from which nothing was read.
  void start(std::unique_ptr<io::Transport> transport) override;
  // The transport is connected.  `draining`: the connection is to end.
  void take_over(std::unique_ptr<io::Transport> transport, Buffer already_read, bool draining);
  void drain() override;
  void close(Failure failure) override;
  void describe(StreamInfo& info) const override;

 private:
  friend class Http2Exchange;
  using Event = http::H2ServerConnection::Event;

  // H2ServerConnection::Owner
  void on_server_connected() override {}
  http::H2Exchange& new_exchange(http::H2ServerStream& stream) override;
  void on_head_incomplete() override;
  void on_idle() override;
  void on_stream_count(int change) override;
  void on_event(Event event) override;
  void on_flood(http::H2Flood flood) override;
  void on_malformed(FailureKind kind) override;
  void on_server_closed(Failure failure) override;
  void on_traffic(uint64_t received, uint64_t sent) override;

  [[nodiscard]] stats::HttpStats& http_stats() const { return *line_->http; }
  [[nodiscard]] const HcmConfig& config() const noexcept { return *line_->newest->http; }
  void on_head_complete();
  void count_exchange(const Stream& stream);
  void drain_server();
  void on_timer();
  void on_duration();

  WorkerContext& worker_;
  http::H2ServerConnection server_;
  IntrusiveList<Http2Exchange> exchanges_;
  Http2Exchange* in_head_ = nullptr;  // its head is not complete
  uint32_t ended_ = 0;                // exchanges, while the connection was open
  uint32_t premature_ = 0;            // of those, young and without an answer
  // The idle timeout without streams, the time limit within a head.
  io::Timer timer_ = io::Timer::of<&Http2Connection::on_timer>(this);
  std::unique_ptr<io::Timer> duration_timer_;
};

}  // namespace pillion::core
