#pragma once
// A connection to an upstream over a fake transport, whose other end the test plays.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "proxy/http/h1_client.h"
#include "tests/support/fake_transport.h"
#include "tests/support/h1_parse.h"

namespace pillion::http {

class ClientTest : public ::testing::Test, public ClientConnection::Owner {
 protected:
  struct Sink final : ResponseSink {
    explicit Sink(ClientTest& t) : test(t) {}
    ResponseHead& new_response_head() override { return *arena.create<ResponseHead>(arena); }
    Headers& new_response_trailers() override { return *arena.create<Headers>(arena); }
    void on_informational(ResponseHead& response) override {
      test.log += str("info ", response.status, "; ");
      if (test.reset_on_informational) test.connection->reset();
    }
    void on_response_head(ResponseHead& response, bool end) override {
      test.log += str("head ", response.status, end ? " end; " : "; ");
    }
    void on_response_body(std::string_view data, bool end) override {
      body += data;
      if (end) test.log += str("end ", body, "; ");
    }
    void on_response_trailers(Headers& trailers) override {
      test.log += str("end ", body, " trailers ", testing::describe(trailers), "; ");
    }
    void on_response_half_closed() override { test.log += "half; "; }
    void on_upstream_reset(Failure failure) override {
      test.log += str("reset ", failure.row().name, "; ");
    }
    void on_request_drained() override { test.log += "drained; "; }
    size_t read_limit() const noexcept override { return limit; }
    ClientTest& test;
    Arena arena;
    std::string body;
    size_t limit = 1 << 20;
  };

  void SetUp() override { open(); }
  void open() {
    auto [a, b] = testing::FakeTransport::make_pair(loop);
    own_end = a.get();
    origin = std::move(b);
    connection = std::make_unique<H1ClientConnection>(loop, batch, limits, *this);
    connection->start(std::move(a));
    turn();
  }
  void TearDown() override {
    if (connection != nullptr) connection->close({FailureKind::kNone});
    turn();
    origin.reset();
    turn();
    EXPECT_EQ(Slab::live(), 0);
  }
  void turn(int n = 4) {
    for (int i = 0; i < n; ++i) loop.run_once(false);
  }
  // Begins an exchange with a request of that method without a body.
  void request(std::string_view method = "GET", std::string_view upgrade = {}) {
    sink = std::make_unique<Sink>(*this);
    head = std::make_unique<RequestHead>(sink->arena);
    head->method_text = method;
    head->method = find_method(method);
    head->path = "/";
    head->authority = "h";
    head->upgrade = upgrade;
    upstream = &connection->begin(*sink);
    upstream->send_head(*head, upgrade.empty());
    batch.flush();
    turn();
  }
  void begin_upload(Framing framing, uint64_t length = 0) {
    sink = std::make_unique<Sink>(*this);
    head = std::make_unique<RequestHead>(sink->arena);
    head->method_text = "POST";
    head->method = Method::kPost;
    head->path = "/";
    head->authority = "h";
    head->framing = framing;
    head->content_length = length;
    upstream = &connection->begin(*sink);
    upstream->send_head(*head, false);
    batch.flush();
    turn();
  }
  void respond(std::string_view bytes) {
    own_end->inject(bytes);
    turn();
  }
  std::string noted() { return std::exchange(log, {}); }
  std::string written() {
    std::string out;
    char room[4096];
    while (const size_t n = origin->read(room, sizeof room).bytes) out.append(room, n);
    return out;
  }

  void on_client_connected(ClientConnection&) override { log += "connected; "; }
  void on_client_idle(ClientConnection&) override { log += "idle; "; }
  void on_client_closed(ClientConnection&, Failure failure) override {
    log += str("closed ", failure.row().name, "; ");
    loop.delete_later(std::move(connection));
  }
  void on_client_event(ClientConnection&, ClientConnection::Event event) override {
    constexpr std::string_view kNames[] = {"malformed", "too large", "truncated", "unsolicited",
                                           "interim flood"};
    log += str(kNames[static_cast<size_t>(event)], "; ");
  }
  void on_client_bytes(uint64_t in, uint64_t out) override {
    bytes_in += in;
    bytes_out += out;
  }

  io::Loop loop;
  io::WriteBatch batch{loop};
  H1Limits limits;
  std::string log;
  testing::FakeTransport* own_end = nullptr;
  std::unique_ptr<testing::FakeTransport> origin;
  std::unique_ptr<H1ClientConnection> connection;
  std::unique_ptr<Sink> sink;
  std::unique_ptr<RequestHead> head;
  UpstreamStream* upstream = nullptr;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  bool reset_on_informational = false;
};

}  // namespace pillion::http
