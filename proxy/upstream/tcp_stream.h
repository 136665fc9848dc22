#pragma once
// TcpStream: an UpstreamStream of raw bytes: the server's side of a CONNECT that ends here
// (connect_config of a route), over a connection of its own.
//
// Made by new.  From a successful open() on it owns itself, and goes to Loop::delete_later with its
// last call: on_tcp_refused, the last one of the sink, or reset().  The references outlive it; it
// pins the cluster and the host.
//
// Calls match: open (on_tcp_refused | on_tcp_ready and then as any UpstreamStream, but for
// send_head and send_trailers, which have nothing to say) | reset at any point.

#include "proxy/http/codec.h"
#include "proxy/io/ready_task.h"
#include "proxy/io/writer.h"
#include "proxy/upstream/tcp_connection.h"

namespace pillion::upstream {

class TcpStream final : public io::Deferred,
                        public http::UpstreamStream,
                        private TcpConnection::Owner,
                        private io::TransportObserver,
                        private io::WriterObserver,
                        private io::ReadyTask {
 public:
  class Owner {
   public:
    // Connected, TLS included; bytes come after the call.
    virtual void on_tcp_ready() = 0;
    // `reason`: TcpConnection::failure_reason(), valid during the call.
    virtual void on_tcp_refused(Failure failure, std::string_view reason) = 0;

   protected:
    ~Owner() = default;
  };

  TcpStream(io::Loop& loop, io::WriteBatch& batch, Cluster& cluster, Host& host, Owner& owner,
            http::ResponseSink& sink);
  ~TcpStream() override;

  // False: max_connections is reached, and nothing was opened: it is the caller's to delete.
  bool open() { return connection_.open(); }
  [[nodiscard]] io::Transport& transport() noexcept { return connection_.transport(); }

  // UpstreamStream
  void send_head(const http::RequestHead&, bool) override {}
  void send_body(std::string_view data, bool end) override;
  void send_trailers(const http::Headers&) override {}
  void reset() override;
  void pause_response() override;
  void resume_response() override;
  [[nodiscard]] bool is_backed_up() const noexcept override { return writer_.backlog() != 0; }

 private:
  void on_tcp_connected() override;
  void on_tcp_failed(Failure failure) override;
  void on_readable() override;
  void on_writable() override { writer_.on_writable(); }
  void on_closed(Failure failure) override { lose(failure); }
  void on_drained() override;
  void on_write_failed() override;
  void run_ready() override { lose({FailureKind::kUpstreamReset}); }

  void on_eof();
  // The server broke it off.
  void lose(Failure failure);
  // Null if it was cut off.
  http::ResponseSink* end_sink();
  void close(io::Transport::CloseMode mode, bool remote);

  io::Loop& loop_;
  io::WriteBatch& batch_;
  Owner& owner_;
  http::ResponseSink* sink_;
  TcpConnection connection_;
  io::Writer writer_;
  uint64_t received_ = 0;
  bool send_ended_ = false;
  bool receive_ended_ = false;
  bool closed_ = false;
};

}  // namespace pillion::upstream
