#pragma once
// A worker on which one client and one upstream exchange the same request and response again and
// again.  Everything that the worker does happens in turn(), where it is counted.

#include <optional>
#include <string>
#include <string_view>

#include "tests/component/tls_yaml.h"
#include "tests/component/worker_fixture.h"
#include "tests/perf/counted.h"
#include "tests/support/tls_peer.h"

namespace pillion::testing {

struct Exchange {
  std::string request;
  std::string response;
};

inline Exchange get_1k() {
  return {
      "GET /users/7?x=1 HTTP/1.1\r\nHost: users.shop\r\nUser-Agent: test/1.0\r\nAccept: "
      "*/*\r\n\r\n",
      str("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n",
          std::string(1024, 'x'))};
}
inline Exchange post_4k() {
  return {str("POST /users HTTP/1.1\r\nHost: users.shop\r\nContent-Type: "
              "text/plain\r\nContent-Length: 4096\r\n\r\n",
              std::string(4096, 'p')),
          "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"};
}
inline Exchange chunked() {
  return {
      "POST /users HTTP/1.1\r\nHost: users.shop\r\nTransfer-Encoding: "
      "chunked\r\n\r\n5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
      "chunked\r\n\r\n6\r\nanswer\r\n6\r\nanswer\r\n0\r\n\r\n"};
}

// What a client of a worker with server_tls(ca) has.
inline tls::ContextConfig customer(const TestCa& ca) {
  tls::ContextConfig config;
  config.role = tls::Role::kClient;
  config.certificates = {ca.certificate("spiffe://mesh.local/ns/shop/sa/customer")};
  config.validation = ca.validation();
  return config;
}

class SteadyState : public WorkerTest {
 protected:
  SteadyState() { log_format.clear(); }

  // One turn of the worker.
  void turn() {
    const Counting counting(allocations);
    loop.run_once(false);
  }
  // Turns until `peer` has a whole message, which is then taken.
  ::testing::AssertionResult take_message(Peer& peer, bool check = false) {
    for (int i = 0; i < kMostTurns; ++i) {
      if (message_size(peer.received())) {
        const std::string message = peer.message();
        if (check && status_of(message) / 100 != 2) return ::testing::AssertionFailure() << message;
        return ::testing::AssertionSuccess();
      }
      turn();
    }
    return ::testing::AssertionFailure() << "no message: " << peer.received();
  }
  // Exchanges over plain connections; the first ones fill free lists and grow buffers.
  void run(const Exchange& exchange, int warm_up, int measured) {
    if (!client_) {
      client_.emplace(connect());
      client_->send(exchange.request);
      server_.emplace(backend.accept());
      ASSERT_TRUE(take_message(*server_));
      server_->send(exchange.response);
      ASSERT_TRUE(take_message(*client_, true));
    }
    for (int i = 0; i < warm_up + measured; ++i) {
      if (i == warm_up) begin_measurement();
      client_->send(exchange.request);
      ASSERT_TRUE(take_message(*server_));
      server_->send(exchange.response);
      ASSERT_TRUE(take_message(*client_, true));
      turn();  // what the end of the exchange left to do
    }
  }
  void begin_measurement() {
    allocations = {};
    loop.counts = {};
  }

  static constexpr int kMostTurns = 1000;
  Backend backend{loop};
  Allocations allocations;
  std::optional<Peer> client_;
  std::optional<Peer> server_;
};

}  // namespace pillion::testing
