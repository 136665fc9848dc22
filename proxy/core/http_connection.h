#pragma once
// HttpConnection: a client's connection under an HttpConnectionManager: codec, current stream,
// timeouts, drain.  The terminal of an HTTP filter chain.  It speaks HTTP/1; when codec_type, ALPN
// or the client's preface asks for HTTP/2, an Http2Connection takes its place.
//
// Owned by its Listener's list; when it closes it tells the ConnectionOwner, which passes it to
// Loop::delete_later.  Its stream pins the configuration that it began with; between two requests
// nothing is pinned (chain_line.h).

#include <memory>

#include "proxy/core/connection.h"
#include "proxy/core/stream.h"
#include "proxy/http/h1_server.h"

namespace pillion::core {

class HttpConnection final : public Connection,
                             public http::H1ServerConnection::Owner,
                             public StreamOwner {
 public:
  HttpConnection(WorkerContext& worker, ConnectionOwner& owner, Ref<ChainLine> line,
                 const ConnectionInfo& info);
  ~HttpConnection() override;

  void start(std::unique_ptr<io::Transport> transport) override;
  void drain() override;
  void close(Failure failure) override;
  void describe(StreamInfo& info) const override;

 private:
  // H1ServerConnection::Owner (public only so that make_unique may convert)
  void on_server_connected() override;
  void on_http2(Buffer& already_read) override;
  http::RequestSink& new_stream() override;
  http::RequestHead& request_head() override { return stream_->request_head(); }
  http::Headers& new_request_trailers() override { return stream_->new_request_trailers(); }
  void on_exchange_done(bool reusable) override;
  void on_server_closed(Failure failure) override;
  void on_malformed(FailureKind kind) override;
  void on_head_complete(size_t bytes) override;
  void on_traffic(uint64_t received, uint64_t sent) override;
  // StreamOwner
  const ConnectionInfo& connection_info() const override { return info_; }
  stats::HttpStats& http_stats() override { return *line_->http; }
  stats::ListenerHttpStats& listener_http_stats() override { return *line_->listener_http; }
  UnderscoreCounters underscore_counters() override {
    return {line_->http1->dropped_headers_with_underscores,
            line_->http1->requests_rejected_with_underscores_in_headers};
  }
  Ref<ChainState> newest_chain() override { return line_->newest; }
  uint64_t wire_bytes_received() const override { return server_.exchange_received(); }
  uint64_t wire_bytes_sent() const override { return server_.exchange_sent(); }
  void close_after_response() override { server_.drain(); }
  void begin_tunnel() override { server_.begin_tunnel(); }

  [[nodiscard]] const HcmConfig& config() const noexcept { return *line_->newest->http; }
  void become_http2(std::unique_ptr<io::Transport> transport, Buffer already_read);
  // What the client speaks is known.
  void count_http1();
  void end_stream();
  void arm_idle();
  void on_timer();
  void on_duration();

  WorkerContext& worker_;
  http::H1ServerConnection server_;
  Stream* stream_ = nullptr;  // owned; destroyed by delete_later
  // The idle timeout between requests, the headers timeout within one.
  io::Timer timer_ = io::Timer::of<&HttpConnection::on_timer>(this);
  std::unique_ptr<io::Timer> duration_timer_;  // of max_connection_duration, which is rarely set
  bool connected_ = false;
  bool counted_ = false;  // as an HTTP/1 connection
};

}  // namespace pillion::core
