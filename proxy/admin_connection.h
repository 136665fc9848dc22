#pragma once
// AdminConnection, AdminExchange: one client of the admin interface, and one request of it.
// Parts of AdminListener, which owns the connections; a connection owns its exchange.  Closed
// objects are buried by the loop.

#include <memory>
#include <string>
#include <string_view>

#include "proxy/admin_listener.h"
#include "proxy/base/arena.h"
#include "proxy/http/h1_server.h"
#include "proxy/io/socket.h"

namespace pillion {

class AdminConnection;

// Collects the request, asks the Router, sends the answer.
class AdminExchange final : public io::Deferred, public http::RequestSink, private io::ReadyTask {
 public:
  // Of a request's body: forms are short.
  static constexpr size_t kMaxBodyBytes = 64 * 1024;

  explicit AdminExchange(AdminConnection& connection) : connection_(&connection) {}

  [[nodiscard]] http::RequestHead& request_head() noexcept { return request_; }
  [[nodiscard]] http::Headers& new_request_trailers() {
    return *arena_.create<http::Headers>(arena_);
  }
  [[nodiscard]] bool is_answering() const noexcept { return answering_; }
  // Answers with that error, then the connection closes.
  void fail(Failure failure);
  // The connection lets go of it; nothing is sent any more.
  void detach() noexcept;

 private:
  // RequestSink
  void on_request_head(bool end) override;
  void on_request_body(std::string_view data, bool end) override;
  void on_request_trailers() override { answer(); }
  void on_request_failed(Failure failure) override;
  void on_response_drained() override;

  void run_ready() override { send_piece(); }
  void answer();
  void send_head();
  void send_piece();
  [[nodiscard]] bool next_piece(std::string_view& piece);

  AdminConnection* connection_;  // null after detach()
  Arena arena_;
  http::RequestHead request_{arena_};
  std::string body_;
  admin::Response response_;
  size_t sent_ = 0;    // of response_.body
  std::string piece_;  // of response_.stream, until it is with the transport
  bool answering_ = false;
};

class AdminConnection final : public io::Deferred,
                              public ListNode<AdminConnectionTag>,
                              private http::H1ServerConnection::Owner {
 public:
  explicit AdminConnection(AdminListener& listener);

  void start(std::unique_ptr<io::Transport> transport);
  void close(Failure failure) { server_->close(failure); }
  [[nodiscard]] bool is_busy() const noexcept { return exchange_ != nullptr; }

 private:
  friend class AdminExchange;
  // H1ServerConnection::Owner
  void on_server_connected() override {}
  http::RequestSink& new_stream() override;
  http::RequestHead& request_head() override { return exchange_->request_head(); }
  http::Headers& new_request_trailers() override { return exchange_->new_request_trailers(); }
  void on_exchange_done(bool reusable) override;
  void on_server_closed(Failure failure) override;
  void on_malformed(FailureKind) override {}
  void on_head_complete(size_t) override {}

  // Something moved: the client has the idle time again.
  void touch();
  void end_exchange();
  void on_timer();

  AdminListener& listener_;
  std::unique_ptr<http::H1ServerConnection> server_;
  AdminExchange* exchange_ = nullptr;  // owned; destroyed by delete_later
  // The request timeout while one is read, else the idle timeout.
  io::Timer timer_ = io::Timer::of<&AdminConnection::on_timer>(this);
};

}  // namespace pillion
