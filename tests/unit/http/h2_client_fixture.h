#pragma once
// An H2ClientConnection, the requests on it, and an H2Peer at the other end of a FakeTransport.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/http/h2_client.h"
#include "tests/support/fake_transport.h"
#include "tests/support/h1_parse.h"
#include "tests/support/h2_peer.h"

namespace pillion::http {

class H2ClientTest : public ::testing::Test, public ClientConnection::Owner {
 protected:
  // One request, and what became of it, in words.
  struct Exchange final : ResponseSink {
    ResponseHead& new_response_head() override { return *arena.create<ResponseHead>(arena); }
    Headers& new_response_trailers() override { return *arena.create<Headers>(arena); }
    void on_informational(ResponseHead& head) override { log += str("info ", head.status, "; "); }
    void on_response_head(ResponseHead& head, bool end) override {
      log += str("head ", head.status, end ? " end; " : "; ");
      response = &head;
      done = end;
    }
    void on_response_body(std::string_view data, bool end) override {
      body += data;
      if (forward != nullptr) forward->add(data);
      done = end;
      if (end) log += str("end ", body, "; ");
      if (pause_at != 0 && body.size() >= pause_at) stream->pause_response();
    }
    void on_response_trailers(Headers& trailers) override {
      done = true;
      log += str("end ", body, " trailers ", testing::describe(trailers), "; ");
    }
    void on_response_half_closed() override { log += "half; "; }
    void on_upstream_reset(Failure failure) override {
      log += str("reset ", failure.row().name, "; ");
      stream = nullptr;
    }
    void on_request_drained() override {
      log += "drained; ";
      if (resets_when_drained) stream->reset();
    }
    void on_wire_bytes(uint64_t sent, uint64_t received) override {
      wire_sent = sent;
      wire_received = received;
    }
    size_t read_limit() const noexcept override { return 1 << 20; }

    Arena arena;
    RequestHead request{arena};
    ResponseHead* response = nullptr;
    UpstreamStream* stream = nullptr;
    std::string body;
    std::string log;
    uint64_t wire_sent = 0;
    uint64_t wire_received = 0;
    size_t pause_at = 0;
    bool resets_when_drained = false;
    io::Writer* forward = nullptr;  // takes views of the body, as a client's connection does
    bool done = false;
  };

  void open(const H2Options& peer_options = {}) {
    auto [a, b] = testing::FakeTransport::make_pair(loop);
    own_end = a.get();
    peer_end = b.get();
    connection = std::make_unique<H2ClientConnection>(loop, batch, limits, options, *this);
    connection->start(std::move(a));
    peer = std::make_unique<testing::H2Peer>(loop, batch, std::move(b), peer_options);
    turn();
    EXPECT_EQ(noted(), "connected; room; ");
  }
  void TearDown() override {
    if (connection != nullptr) connection->close({FailureKind::kNone});
    turn();
    peer.reset();
    turn();
    EXPECT_EQ(Slab::live(), 0);
  }
  void turn(int n = 6) {
    for (int i = 0; i < n; ++i) loop.run_once(false);
  }
  Exchange& begin(std::string_view method = "GET") {
    exchanges.push_back(std::make_unique<Exchange>());
    Exchange& e = *exchanges.back();
    e.request.method_text = method;
    e.request.method = find_method(method);
    e.request.scheme = "http";
    e.request.path = "/p?q";
    e.request.authority = "h";
    e.stream = &connection->begin(e);
    return e;
  }
  // A request without a body, and a turn.
  Exchange& get(std::string_view method = "GET") {
    Exchange& e = begin(method);
    e.stream->send_head(e.request, true);
    turn();
    return e;
  }
  std::string noted() { return std::exchange(log, {}); }

  void on_client_connected(ClientConnection&) override { log += "connected; "; }
  void on_client_idle(ClientConnection& c) override {
    log += "idle; ";
    if (closes_when_idle) c.close({FailureKind::kIdleTimeout});
  }
  void on_client_room(ClientConnection&) override {
    if (!log.ends_with("room; ")) log += "room; ";
  }
  void on_client_leaving(ClientConnection&) override { log += "leaving; "; }
  void on_client_closed(ClientConnection&, Failure failure) override {
    log += str("closed ", failure.row().name, "; ");
    loop.delete_later(std::move(connection));
  }
  void on_client_event(ClientConnection&, ClientConnection::Event event) override {
    using Event = ClientConnection::Event;
    if (event == Event::kStreamBegun) {
      ++active;
    } else if (event == Event::kStreamEnded) {
      --active;
    } else {
      events.push_back(event);
    }
  }
  void on_client_flood(ClientConnection&, H2Flood flood) override { floods.push_back(flood); }
  void on_client_bytes(uint64_t in, uint64_t out) override {
    bytes_in += in;
    bytes_out += out;
  }
  [[nodiscard]] bool has_event(ClientConnection::Event event) const {
    return std::find(events.begin(), events.end(), event) != events.end();
  }

  io::Loop loop;
  io::WriteBatch batch{loop};
  H1Limits limits;
  H2Options options;
  std::string log;
  testing::FakeTransport* own_end = nullptr;
  testing::FakeTransport* peer_end = nullptr;
  std::unique_ptr<H2ClientConnection> connection;
  std::unique_ptr<testing::H2Peer> peer;
  std::vector<std::unique_ptr<Exchange>> exchanges;
  std::vector<ClientConnection::Event> events;
  std::vector<H2Flood> floods;
  int active = 0;
  bool closes_when_idle = false;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
};

}  // namespace pillion::http
