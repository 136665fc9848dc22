// In steady state an exchange costs no heap allocation on HTTP/2 either, ours or nghttp2's: in all
// combinations of protocols, of gRPC with its trailers, of streams that go on, and over mutual TLS
// of whatever is ours.

#include <functional>

#include "proxy/http/h2_memory.h"
#include "proxy/http/h2_preface.h"
#include "tests/perf/steady_state.h"
#include "tests/support/h2_frames.h"

namespace pillion::testing {
namespace {

constexpr uint32_t kWarmUp = 200;
constexpr uint32_t kMeasured = 1000;

// What a peer of HTTP/2 says first: windows that never close.
std::string opening(bool is_client) {
  return str(is_client ? http::kH2Preface : "",
             frame(4, 0, 0, str(std::string("\0\4", 2), be32(0x7fffffff))), frame(4, 1, 0, ""),
             frame(8, 0, 0, be32(0x7fffffff - 65535)));
}

// A field that goes into the dynamic table.
std::string indexed(std::string_view name, std::string_view value) {
  std::string field = literal(name, value);
  field[0] = 0x40;
  return field;
}

// A message as either protocol says it; `n`: the how manieth.
struct Message {
  std::function<std::string(uint32_t stream, uint32_t n)> h2;
  std::string h1;
};

Message get() {
  return {[](uint32_t stream, uint32_t) {
            return headers(stream, request_block() + literal("user-agent", "test/1.0"));
          },
          get_1k().request};
}
Message ok_1k() {
  return {[](uint32_t stream, uint32_t) {
            return str(headers(stream,
                               literal(":status", "200") + literal("content-type", "text/plain") +
                                   literal("content-length", "1024"),
                               false),
                       data(stream, std::string(1024, 'x'), true));
          },
          get_1k().response};
}
Message post_4k_chunked() {
  return {[](uint32_t stream, uint32_t) {
            return str(headers(stream, request_block("POST"), false),
                       data(stream, std::string(4096, 'p'), true));
          },
          str("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n",
              std::string(4096, 'p'), "\r\n0\r\n\r\n")};
}
// Fields that are new each time, so that old ones leave the tables.
Message get_with_new_fields() {
  return {[](uint32_t stream, uint32_t n) {
            return headers(stream, request_block() + indexed("x-number", str(n)) +
                                       indexed(str("x-name-", n % 1000), "some value or other"));
          },
          ""};
}
Message ok_with_new_fields() {
  return {[](uint32_t stream, uint32_t n) {
            return headers(stream, literal(":status", "200") + indexed("x-number", str(n)) +
                                       indexed(str("x-name-", n % 1000), "some value or other"));
          },
          ""};
}
constexpr std::string_view kGrpcMessage{"\0\0\0\0\5hello", 10};
Message grpc_call() {
  return {[](uint32_t stream, uint32_t) {
            return str(headers(stream,
                               request_block("POST", "/s.S/M") +
                                   literal("content-type", "application/grpc") +
                                   literal("te", "trailers") + literal("grpc-timeout", "10S"),
                               false),
                       data(stream, kGrpcMessage, true));
          },
          ""};
}
Message grpc_answer() {
  return {
      [](uint32_t stream, uint32_t) {
        return str(
            headers(stream, literal(":status", "200") + literal("content-type", "application/grpc"),
                    false),
            data(stream, kGrpcMessage), headers(stream, literal("grpc-status", "0")));
      },
      ""};
}

// A client or server in the test's hands, of either protocol.
class End {
 public:
  End(Peer peer, bool is_h2, bool is_client) : peer_(std::move(peer)), is_h2_(is_h2) {
    if (is_h2) peer_.send(opening(is_client));
  }
  void send(const Message& message, uint32_t n) {
    peer_.send(is_h2_ ? message.h2(2 * n + 1, n) : message.h1);
  }
  void send_raw(std::string_view bytes) { peer_.send(bytes); }
  // Has all of a message come?  Then it is taken.
  bool takes_message() {
    if (!is_h2_) {
      if (!message_size(peer_.received())) return false;
      peer_.message();
      return true;
    }
    return takes(" end; ");
  }
  // Has this been said since it was last taken?
  bool takes(std::string_view words) {
    in_ += peer_.received();
    peer_.discard();
    if (in_.starts_with(http::kH2Preface)) in_.erase(0, http::kH2Preface.size());
    told_ += describe_frames(in_);
    const size_t at = told_.find(words);
    if (at == told_.npos) return false;
    told_.erase(0, at + words.size());
    return true;
  }
  [[nodiscard]] const std::string& told() const { return told_; }

 private:
  Peer peer_;
  bool is_h2_;
  std::string in_;
  std::string told_;
};

enum Protocols { kH2ToH2, kH2ToH1, kH1ToH2 };

class H2Allocation : public SteadyState {
 protected:
  void begin(Protocols protocols, ListenerYaml yaml = {}) {
    down_is_h2_ = protocols != kH1ToH2;
    up_is_h2_ = protocols != kH2ToH1;
    set_cluster({backend.address}, up_is_h2_ ? "http2_protocol_options: {}" : "");
    if (down_is_h2_) yaml.hcm += str(yaml.hcm.empty() ? "" : ", ", "codec_type: HTTP2");
    listen(yaml);
    client_end_.emplace(connect(), down_is_h2_, true);
  }
  template <typename Condition>
  ::testing::AssertionResult wait(Condition&& condition) {
    // The kernel may pace what was sent in many pieces, so turns alone are no measure.
    const Instant end = MonotonicClock::now() + std::chrono::seconds(10);
    while (MonotonicClock::now() < end) {
      if (condition()) return ::testing::AssertionSuccess();
      turn();
    }
    return ::testing::AssertionFailure() << "it does not come: " << client_end_->told();
  }
  void exchange(const Message& request, const Message& response, uint32_t n) {
    client_end_->send(request, n);
    if (!server_end_) {
      ASSERT_TRUE(wait([&] { return backend.is_called(); }));
      server_end_.emplace(backend.accept(), up_is_h2_, false);
    }
    ASSERT_TRUE(wait([&] { return server_end_->takes_message(); })) << "request " << n;
    server_end_->send(response, n);
    ASSERT_TRUE(wait([&] { return client_end_->takes_message(); })) << "response " << n;
    turn();
  }
  void measure() {
    begin_measurement();
    library_ = http::H2Memory::usage().mallocs;
  }
  void expect_none() {
    EXPECT_EQ(allocations.ours, 0u) << "in " << kMeasured << " requests";
    EXPECT_EQ(http::H2Memory::usage().mallocs, library_) << "for nghttp2";
    EXPECT_EQ(app->upstream_cx_total.value(), 1u);
  }
  void run_exchanges(const Message& request, const Message& response) {
    if (!can_count_allocations()) GTEST_SKIP() << "a sanitizer owns malloc";
    const uint32_t done = run_steps(1, [&](uint32_t n) { exchange(request, response, n); });
    EXPECT_EQ(http->downstream_rq_2xx.value(), done);
  }
  // Calls step(n) for n = 0, each, 2 * each ... until so many need no memory; returns how many ran.
  // How many things are under way at once is up to the kernel: one more than ever before takes a
  // block.  What each of them needs shows in all rounds.
  template <typename Step>
  uint32_t run_steps(uint32_t each, Step&& step) {
    constexpr int kRounds = 5;
    uint32_t n = 0;
    const auto run_to = [&](uint32_t end) {
      for (; n < end && !HasFatalFailure(); n += each) step(n);
    };
    run_to(kWarmUp);
    for (int round = 0; round < kRounds && !HasFatalFailure(); ++round) {
      measure();
      run_to(n + kMeasured);
      if (allocations.ours == 0 && http::H2Memory::usage().mallocs == library_) break;
    }
    expect_none();
    return n;
  }

  std::optional<End> client_end_;
  std::optional<End> server_end_;
  size_t library_ = 0;
  bool down_is_h2_ = false;
  bool up_is_h2_ = false;
};

class H2Allocations : public H2Allocation, public ::testing::WithParamInterface<Protocols> {};

TEST_P(H2Allocations, AGetOf1KbNeedsNone) {
  begin(GetParam());
  run_exchanges(get(), ok_1k());
}
TEST_P(H2Allocations, APostOf4KbNeedsNone) {
  begin(GetParam());
  run_exchanges(post_4k_chunked(), ok_1k());
}
TEST_P(H2Allocations, AGetThroughFiltersWithTimeoutsAndRetriesNeedsNone) {
  begin(GetParam(),
        {.hcm = "use_remote_address: true, request_timeout: 10s",
         .routes = "{ match: { prefix: / }, route: { cluster: app, timeout: 5s, idle_timeout: 2s, "
                   "retry_policy: { retry_on: '5xx,refused-stream', num_retries: 3 } }, "
                   "response_headers_to_add: [ { header: { key: x-b, value: y } } ] }"});
  run_exchanges(get(), ok_1k());
}
std::string name_of(const ::testing::TestParamInfo<Protocols>& info) {
  static constexpr const char* kNames[] = {"H2ToH2", "H2ToH1", "H1ToH2"};
  return kNames[info.param];
}
INSTANTIATE_TEST_SUITE_P(Protocols, H2Allocations, ::testing::Values(kH2ToH2, kH2ToH1, kH1ToH2),
                         name_of);

TEST_F(H2Allocation, FieldsThatAreNewEachTimeNeedNone) {
  begin(kH2ToH2);
  run_exchanges(get_with_new_fields(), ok_with_new_fields());
}

TEST_F(H2Allocation, AUnaryCallOfGrpcWithItsTrailersNeedsNone) {
  begin(kH2ToH2);
  run_exchanges(grpc_call(), grpc_answer());
}

// 20 streams at a time, of which each ends with the next turn.
TEST_F(H2Allocation, ManyStreamsAtATimeNeedNone) {
  if (!can_count_allocations()) GTEST_SKIP() << "a sanitizer owns malloc";
  constexpr uint32_t kAtATime = 20;
  begin(kH2ToH2);
  ASSERT_NO_FATAL_FAILURE(exchange(get(), ok_1k(), 0));
  run_steps(kAtATime, [&](uint32_t n) {
    for (uint32_t i = 1; i <= kAtATime; ++i) client_end_->send(get(), n + i);
    for (uint32_t i = 0; i < kAtATime; ++i)
      ASSERT_TRUE(wait([&] { return server_end_->takes_message(); }));
    for (uint32_t i = 1; i <= kAtATime; ++i) server_end_->send(ok_1k(), n + i);
    for (uint32_t i = 0; i < kAtATime; ++i)
      ASSERT_TRUE(wait([&] { return client_end_->takes_message(); }));
    turn();
  });
}

// Messages to and fro on one stream, long after its head.
TEST_F(H2Allocation, MessagesOfAStreamThatGoesOnNeedNone) {
  if (!can_count_allocations()) GTEST_SKIP() << "a sanitizer owns malloc";
  begin(kH2ToH2);
  client_end_->send_raw(headers(1, request_block("POST"), false));
  ASSERT_TRUE(wait([&] { return backend.is_called(); }));
  server_end_.emplace(backend.accept(), true, false);
  ASSERT_TRUE(wait([&] { return server_end_->takes("HEADERS 1; "); }));
  server_end_->send_raw(headers(1, literal(":status", "200"), false));
  ASSERT_TRUE(wait([&] { return client_end_->takes("HEADERS 1; "); }));
  const std::string message = data(1, std::string(500, 'm'));
  run_steps(1, [&](uint32_t) {
    client_end_->send_raw(message);
    ASSERT_TRUE(wait([&] { return server_end_->takes("DATA 1 500; "); }));
    server_end_->send_raw(message);
    ASSERT_TRUE(wait([&] { return client_end_->takes("DATA 1 500; "); }));
    turn();
  });
  client_end_->send_raw(data(1, "", true));
  ASSERT_TRUE(wait([&] { return server_end_->takes("DATA 1 0 end; "); }));
  server_end_->send_raw(data(1, "", true));
  ASSERT_TRUE(wait([&] { return client_end_->takes("DATA 1 0 end; "); }));
}

// Mutual TLS towards the client, who lives on a loop of his own.  BoringSSL's own are counted apart
// (allocation_test.cc).
TEST_F(H2Allocation, MutualTlsNeedsNoneOfOurs) {
  if (!can_count_allocations()) GTEST_SKIP() << "a sanitizer owns malloc";
  const TestCa ca;
  set_cluster({backend.address}, "http2_protocol_options: {}");
  listen({.hcm = "codec_type: HTTP2", .chain = server_tls(ca)});
  auto context = tls::Context::make(customer(ca));
  ASSERT_TRUE(context) << context.error();
  io::Loop client_loop;
  {
    TlsPeer client(client_loop, io::Socket::connect(client_loop, address, {}, {}), *context);
    client.start();
    client.send(opening(true));
    std::string told;
    const auto both = [&](auto&& condition) {
      // A handshake has steps on another thread.
      const Instant end = MonotonicClock::now() + std::chrono::seconds(10);
      while (MonotonicClock::now() < end) {
        if (condition()) return true;
        client_loop.run_once(false);
        turn();
      }
      return false;
    };
    for (uint32_t n = 0; n < kWarmUp + kMeasured; ++n) {
      if (n == kWarmUp) measure();
      client.send(get().h2(2 * n + 1, n));
      if (!server_end_) {
        ASSERT_TRUE(both([&] { return backend.is_called(); })) << client.reason;
        server_end_.emplace(backend.accept(), true, false);
      }
      ASSERT_TRUE(both([&] { return server_end_->takes_message(); }));
      server_end_->send(ok_1k(), n);
      ASSERT_TRUE(both([&] {
        told += describe_frames(client.received);
        return told.find(" end; ") != told.npos;
      }));
      told.clear();
    }
    // One more thing under way than ever before takes a block: see run_steps.
    constexpr size_t kFew = kMeasured / 10;
    EXPECT_LE(allocations.ours - allocations.direct, kFew) << "by new";
    EXPECT_LE(http::H2Memory::usage().mallocs, library_ + kFew) << "for nghttp2";
    EXPECT_LE(allocations.direct, 2u * (kMeasured + 1) + kFew) << "BoringSSL's record buffers";
    client.destroy();
    client_loop.run_once(false);
  }
}

}  // namespace
}  // namespace pillion::testing
