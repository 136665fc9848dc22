#pragma once
// CaConnection, CaExchange: one client of the development CA, and one call of it.  Parts of
// CaServer, which owns the connections; the loop buries what has ended.

#include <string>
#include <string_view>

#include "certs/ca_server.h"
#include "proxy/base/arena.h"
#include "proxy/http/grpc_frames.h"
#include "proxy/http/h2_server.h"

namespace pillion::certs {

// Collects the request, asks the service, answers.
class CaExchange final : public io::Deferred,
                         public http::H2Exchange,
                         public http::RequestSink,
                         public ListNode<> {
 public:
  CaExchange(CaConnection& connection, http::H2ServerStream& stream)
      : connection_(&connection), stream_(&stream) {}

  // Nothing is sent any more; it is buried.
  void cut_off();

 private:
  static constexpr size_t kMaxRequestBytes = size_t{64} << 10;

  // H2Exchange
  http::RequestSink& sink() override { return *this; }
  http::RequestHead& request_head() override { return request_; }
  http::Headers& new_request_trailers() override { return *arena_.create<http::Headers>(arena_); }
  void on_head_complete(size_t) override {}
  void on_exchange_done() override { cut_off(); }
  // RequestSink
  void on_request_head(bool end) override;
  void on_request_body(std::string_view data, bool end) override;
  void on_request_trailers() override { answer(); }
  void on_request_failed(Failure failure) override;
  void on_response_drained() override {}

  void answer();
  void send(std::string_view response);
  // A status of gRPC that is not OK.
  void refuse(uint32_t status, std::string_view message);
  void refuse_http(uint16_t status);

  CaConnection* connection_;
  http::H2ServerStream* stream_;  // null after the end
  Arena arena_;
  http::RequestHead request_{arena_};
  http::GrpcFrames frames_{kMaxRequestBytes};
  std::string message_;  // the one of the call
  std::string response_;
  bool has_message_ = false;
};

class CaConnection final : public io::Deferred,
                           public ListNode<CaConnectionTag>,
                           private http::H2ServerConnection::Owner {
 public:
  explicit CaConnection(CaServer& server);

  void start(std::unique_ptr<io::Transport> transport, bool connected);
  void close(Failure failure) { h2_->close(failure); }
  [[nodiscard]] bool is_busy() const noexcept { return !exchanges_.empty(); }
  [[nodiscard]] CaServer& server() noexcept { return server_; }
  // Something was asked or answered: the idle time begins anew.
  void touch();

 private:
  // H2ServerConnection::Owner
  void on_server_connected() override {}
  http::H2Exchange& new_exchange(http::H2ServerStream& stream) override;
  void on_idle() override {}
  void on_stream_count(int) override {}
  void on_event(http::H2ServerConnection::Event) override {}
  void on_malformed(FailureKind) override {}
  void on_server_closed(Failure failure) override;
  void on_traffic(uint64_t, uint64_t) override {}
  void on_timer();

  CaServer& server_;
  std::unique_ptr<http::H2ServerConnection> h2_;
  IntrusiveList<CaExchange> exchanges_;
  io::Timer timer_ = io::Timer::of<&CaConnection::on_timer>(this);
};

}  // namespace pillion::certs
