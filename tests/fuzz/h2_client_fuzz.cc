// Any bytes from an upstream that speaks HTTP/2, in any pieces: nothing crashes or leaks, every
// exchange ends once, and what is delivered as a response is one, in HTTP/1 too.  First byte: seed
// of the cuts; second: how the peer begins, whether we give up, whether our limits are low.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/http/h2_client.h"
#include "tests/support/fake_transport.h"
#include "tests/support/h1_written.h"

using namespace pillion;

namespace {

struct Exchange final : http::ResponseSink {
  http::ResponseHead& new_response_head() override {
    return *arena.create<http::ResponseHead>(arena);
  }
  http::Headers& new_response_trailers() override { return *arena.create<http::Headers>(arena); }
  void on_informational(http::ResponseHead& head) override {
    check(!has_head && head.status >= 100 && head.status < 200);
    check(testing::reads_back(head, request.method));
  }
  void on_response_head(http::ResponseHead& head, bool end) override {
    const bool is_agreement = head.status == 101 && !request.upgrade.empty();
    check(!has_head && (is_agreement || (head.status >= 200 && head.status < 600)));
    // Of an agreement HTTP/1 says more: the stream's tunnel adds it.
    check(is_agreement || testing::reads_back(head, request.method));
    has_head = true;
    length = head.framing == http::Framing::kLength ? head.content_length : UINT64_MAX;
    finish(end);
  }
  void on_response_body(std::string_view data, bool end) override {
    check(has_head && !done && (!half_closed || (end && data.empty())));
    received += data.size();
    check(received <= length && (!end || length == UINT64_MAX || received == length));
    if (!end && (received & 1) != 0) stream->pause_response();
    finish(end);
  }
  void on_response_trailers(http::Headers& trailers) override {
    check(has_head && !done && testing::is_trailer_section(trailers));
    finish(true);
  }
  void on_response_half_closed() override {
    check(has_head && !done && !half_closed && request.asks_tunnel());
    half_closed = true;
  }
  // Our end of a tunnel whose server has ended.
  void end_tunnel() {
    if (stream == nullptr || !half_closed) return;
    stream->send_body("last", true);
    if (stream != nullptr) stream->reset();
    finish(true);
  }
  void on_upstream_reset(Failure failure) override {
    check(bool(failure));
    finish(true);
  }
  void on_request_drained() override {}
  size_t read_limit() const noexcept override { return 1 << 20; }

  static void check(bool fine) {
    if (!fine) std::abort();
  }
  void finish(bool end) {
    check(!done);
    done = end;
    if (end) stream = nullptr;
  }

  Arena arena;
  http::RequestHead request{arena};
  http::UpstreamStream* stream = nullptr;
  uint64_t received = 0;
  uint64_t length = UINT64_MAX;
  bool has_head = false;
  bool half_closed = false;
  bool done = false;
};

struct Owner final : http::ClientConnection::Owner {
  explicit Owner(io::Loop& l) : loop(l) {}
  void on_client_connected(http::ClientConnection&) override {}
  void on_client_idle(http::ClientConnection&) override { --active; }
  void on_client_closed(http::ClientConnection&, Failure) override {
    loop.delete_later(std::move(connection));
  }
  void on_client_event(http::ClientConnection&, http::ClientConnection::Event) override {}
  void on_client_bytes(uint64_t, uint64_t) override {}
  io::Loop& loop;
  std::unique_ptr<http::H2ClientConnection> connection;
  int active = 0;
};

void begin(Owner& owner, Exchange& exchange, std::string_view method, bool end) {
  exchange.request.method_text = method;
  exchange.request.method = http::find_method(method);
  exchange.request.scheme = "http";
  exchange.request.path = "/";
  exchange.request.authority = "a";
  exchange.stream = &owner.connection->begin(exchange);
  ++owner.active;
  exchange.stream->send_head(exchange.request, end);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  uint32_t seed = data[0];
  const uint8_t kinds = data[1];
  io::Loop loop;
  io::WriteBatch batch(loop);
  http::H1Limits limits;
  http::H2Options options;
  if ((kinds & 4) != 0) {
    limits.max_bytes = 500;
    limits.max_fields = 5;
    options.stream_window = options.connection_window = 65535;
    options.hpack_table_size = 64;
    options.max_outbound_control_frames = options.max_priority_frames_per_stream = 5;
    options.max_window_updates_per_data_frame = 1;
  }
  Owner owner(loop);
  auto [own, peer] = testing::FakeTransport::make_pair(loop);
  testing::FakeTransport* const end = own.get();
  owner.connection =
      std::make_unique<http::H2ClientConnection>(loop, batch, limits, options, owner);
  owner.connection->start(std::move(own));
  const auto turn = [&loop](int n) {
    for (int i = 0; i < n; ++i) loop.run_once(false);
  };
  turn(2);
  std::vector<std::unique_ptr<Exchange>> exchanges;
  constexpr std::string_view kMethods[] = {"GET", "HEAD", "POST", "CONNECT"};
  for (size_t i = 0; i < 4; ++i) {
    exchanges.push_back(std::make_unique<Exchange>());
    begin(owner, *exchanges[i], kMethods[i], i < 2);
  }
  turn(2);
  exchanges.push_back(std::make_unique<Exchange>());
  exchanges.back()->request.upgrade = "websocket";
  begin(owner, *exchanges.back(), "GET", false);
  if ((kinds & 1) != 0) {  // a peer that begins as it should
    end->inject(std::string_view("\0\0\0\4\0\0\0\0\0", 9));
  } else if ((kinds & 4) != 0) {  // and takes upgrades (RFC 8441)
    end->inject(std::string_view("\0\0\6\4\0\0\0\0\0\0\x08\0\0\0\1", 15));
    turn(2);
  }
  std::string_view bytes(reinterpret_cast<const char*>(data + 2), size - 2);
  while (!bytes.empty() && owner.connection != nullptr) {
    seed = seed * 1103515245 + 12345;
    const size_t n = std::min<size_t>(bytes.size(), (seed >> 16) % 200 + 1);
    end->inject(bytes.substr(0, n));
    bytes.remove_prefix(n);
    turn(2);
    for (auto& exchange : exchanges) {
      if (exchange->stream != nullptr) exchange->stream->resume_response();
      if ((kinds & 8) != 0) exchange->end_tunnel();
    }
  }
  if ((kinds & 2) != 0 && exchanges[0]->stream != nullptr) {
    exchanges[0]->done = true;
    std::exchange(exchanges[0]->stream, nullptr)->reset();
  }
  turn(2);
  if (owner.connection != nullptr) owner.connection->close({FailureKind::kLocalReset});
  turn(2);
  for (auto& exchange : exchanges) {
    if (!exchange->done) std::abort();
  }
  peer->close();
  loop.delete_later(std::move(peer));
  turn(2);
  return 0;
}
