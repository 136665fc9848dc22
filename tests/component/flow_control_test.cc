// Back-pressure from end to end, over {HTTP/1, HTTP/2} from the client and to the server: an
// exchange whose receiver takes nothing stops its sender, holds little, stops nobody else, and
// goes on where it stopped.

#include "tests/component/http2_yaml.h"

namespace pillion::testing {
namespace {

// More than all the kernel's buffers on the way together.
constexpr size_t kTotal = 24 << 20;
constexpr size_t kPiece = 16 * 1024;
constexpr uint32_t kWindow = 65535;

struct Way {
  bool client_http2;
  bool server_http2;
};

std::string name_of(const ::testing::TestParamInfo<Way>& info) {
  return str(info.param.client_http2 ? "Http2" : "Http1", "To",
             info.param.server_http2 ? "Http2" : "Http1");
}

// Bytes of which each place has its own: what is lost or doubled shows.
char byte_at(size_t place) { return static_cast<char>('a' + place % 23 + place / 4099 % 3); }
std::string bytes_from(size_t place, size_t size) {
  std::string out(size, '\0');
  for (char& c : out) c = byte_at(place++);
  return out;
}

class FlowControl : public WorkerTest, public ::testing::WithParamInterface<Way> {
 protected:
  void begin(std::string_view limit = {}) {
    const std::string windows =
        str("initial_stream_window_size: ", kWindow, ", initial_connection_window_size: 1048576");
    const bool both = !limit.empty() && GetParam().server_http2;
    set_cluster({backend.address}, str(limit, both ? ", " : "",
                                       GetParam().server_http2 ? http2_cluster(windows) : ""));
    listen({.hcm = str("codec_type: ", GetParam().client_http2 ? "HTTP2" : "HTTP1",
                       ", http2_protocol_options: { ", windows, " }"),
            .listener = std::string(limit)});
    options.stream_window = kWindow;
    options.connection_window = 1 << 20;
    if (GetParam().client_http2) http2 = http2_client(loop, batch, address, options);
  }
  void TearDown() override {
    clients.clear();
    servers.clear();
    http2.reset();
    server_http2.reset();
    WorkerTest::TearDown();
  }

  // ---- one exchange, whatever it is made of ----

  struct Exchange {
    size_t index = 0;
    H2TestClient::Exchange* stream = nullptr;  // of an HTTP/2 client
    size_t sent = 0;                           // of the body
    size_t taken = 0;                          // and arrived
    bool in_order = true;
    bool holds = false;  // the receiver takes nothing
    bool has_head = false;
    std::string head;  // of an HTTP/1 response
  };

  Exchange ask(bool uploads = false) {
    Exchange e;
    e.index = asked++;
    const std::string path = str("/", e.index);
    if (http2 != nullptr) {
      if (uploads) {
        e.stream =
            &http2->request("POST", path, false, {{"content-length", std::to_string(kTotal)}});
      } else {
        e.stream = &http2->request("GET", path);
      }
      e.stream->holds_window = true;
    } else {
      clients.push_back(std::make_unique<Peer>(connect()));
      const int small = 64 * 1024;
      EXPECT_EQ(::setsockopt(clients.back()->fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
      clients.back()->send(
          uploads
              ? str("POST ", path, " HTTP/1.1\r\nHost: a\r\nContent-Length: ", kTotal, "\r\n\r\n")
              : str("GET ", path, " HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    if (!GetParam().server_http2) {
      servers.push_back(std::make_unique<Peer>(backend.accept()));
      EXPECT_TRUE(servers.back()->waits_for("\r\n\r\n"));
      servers.back()->discard();
      return e;
    }
    if (server_http2 == nullptr) {
      server_http2 = std::make_unique<H2Peer>(loop, batch, backend.accept_transport(), options);
      server_http2->holds_window = true;
    }
    EXPECT_TRUE(run_until(loop, [&] { return server_http2->streams.size() > e.index; }));
    return e;
  }

  // The sender's next piece, if it may send: true.
  bool push(Exchange& e, bool uploads, size_t total) {
    if (e.sent == total) return false;
    const std::string piece = bytes_from(e.sent, std::min(kPiece, total - e.sent));
    const bool by_http2 = uploads ? http2 != nullptr : server_http2 != nullptr;
    if (by_http2) {
      const http::H2Stream& stream =
          uploads ? static_cast<http::H2Stream&>(*e.stream) : server_http2->stream(e.index);
      if (stream.held() != 0) return false;
      const bool end = e.sent + piece.size() == total;
      uploads ? http2->send_body(*e.stream, piece, end) : server_http2->data(e.index, piece, end);
      e.sent += piece.size();
      return true;
    }
    const ssize_t n = (uploads ? *clients[e.index] : *servers[e.index]).try_send(piece);
    if (n > 0) e.sent += static_cast<size_t>(n);
    return n > 0;
  }
  // The receiver takes what has come, if it takes anything.
  void take(Exchange& e, bool uploads) {
    if (e.holds) return;
    std::string body;
    if (uploads && server_http2 != nullptr) {
      H2Peer::Stream& stream = server_http2->stream(e.index);
      body = std::exchange(stream.body, {});
      server_http2->session.consume(stream, std::exchange(stream.unconsumed, 0));
      server_http2->flush();
    } else if (!uploads && http2 != nullptr) {
      body = std::exchange(e.stream->body, {});
      http2->session.consume(*e.stream, body.size());
      http2->flush();
    } else {
      Peer& peer = uploads ? *servers[e.index] : *clients[e.index];
      body = peer.received();
      peer.discard();
      if (!uploads && !e.has_head) {
        e.head += body;
        const size_t end = e.head.find("\r\n\r\n");
        if (end == std::string::npos) return;
        e.has_head = true;
        body = e.head.substr(end + 4);
      }
    }
    for (const char c : body) e.in_order = e.in_order && c == byte_at(e.taken++);
  }
  void respond(const Exchange& e, size_t total) {
    const std::string length = std::to_string(total);
    if (server_http2 != nullptr) {
      server_http2->head(e.index, {{":status", "200"}, {"content-length", length}});
    } else {
      servers[e.index]->send(str("HTTP/1.1 200 OK\r\nContent-Length: ", length, "\r\n\r\n"));
    }
  }
  // Until nothing more moves.
  void run(Exchange& e, bool uploads, size_t total) {
    for (int quiet = 0; quiet < 40 && e.taken < total;) {
      const size_t before = e.taken;
      bool moved = false;
      for (int i = 0; i < 16 && push(e, uploads, total); ++i) moved = true;
      loop.run_once(false);
      take(e, uploads);
      quiet = moved || e.taken != before ? 0 : quiet + 1;
      if (quiet > 20) run_for(loop, milliseconds(1));
    }
  }
  // Bytes in buffers of the proxy; a sender of ours may hold a piece of its own.
  static size_t held() {
    return static_cast<size_t>(std::max<int64_t>(Slab::live() - 2, 0)) * Slab::kBytes;
  }

  void check(bool uploads, size_t most) {
    Exchange stalled = ask(uploads);
    stalled.holds = true;
    if (!uploads) respond(stalled, kTotal);
    run(stalled, uploads, kTotal);
    EXPECT_EQ(stalled.taken, 0u);
    EXPECT_LT(stalled.sent, kTotal);  // the sender was stopped
    EXPECT_LE(held(), most);
    if (http2 != nullptr && GetParam().server_http2) {
      // Two windows and what the sender itself holds of a piece: not a byte of one was given back
      // for bytes that have not left on the other side.
      EXPECT_LE(stalled.sent, 2 * kWindow + kPiece);
    }
    // Another exchange, on the same connections where they carry many.
    Exchange other = ask(uploads);
    if (!uploads) respond(other, kTotal);
    run(other, uploads, kTotal);
    EXPECT_EQ(other.taken, kTotal);
    EXPECT_TRUE(other.in_order);
    EXPECT_LE(held(), most);
    EXPECT_EQ(app->upstream_cx_total.value(), GetParam().server_http2 ? 1u : 2u);
    EXPECT_EQ(http->downstream_cx_total.value(), GetParam().client_http2 ? 1u : 2u);
    // And it goes on as if nothing had been.
    stalled.holds = false;
    run(stalled, uploads, kTotal);
    EXPECT_EQ(stalled.taken, kTotal);
    EXPECT_TRUE(stalled.in_order);
  }

  Backend backend{loop};
  http::H2Options options;
  std::unique_ptr<H2TestClient> http2;
  std::unique_ptr<H2Peer> server_http2;
  std::vector<std::unique_ptr<Peer>> clients;
  std::vector<std::unique_ptr<Peer>> servers;
  size_t asked = 0;
};

// An HTTP/2 sender has its window, one of HTTP/1 what was read of it in one go; and what stands in
// front of a connection that takes nothing.  In slabs, of which some are not full.
constexpr size_t kMostHeld = 256 * 1024 + 64 * 1024 + 3 * Slab::kBytes;

TEST_P(FlowControl, StopsTheServerOfAClientThatTakesNothing) {
  begin();
  check(false, kMostHeld);
}

TEST_P(FlowControl, StopsTheClientOfAServerThatTakesNothing) {
  begin();
  check(true, kMostHeld);
}

// With watermarks of 16 KiB at listener and cluster; the window of a sender is another matter.
size_t most_held(bool is_sender_http2) {
  return (is_sender_http2 ? 2 * kWindow : 0) + 5 * Slab::kBytes;
}

TEST_P(FlowControl, HoldsNoMoreOfAResponseThanTheBuffersLimitAllows) {
  begin("per_connection_buffer_limit_bytes: 16384");
  check(false, most_held(GetParam().server_http2));
}

TEST_P(FlowControl, HoldsNoMoreOfARequestThanTheBuffersLimitAllows) {
  begin("per_connection_buffer_limit_bytes: 16384");
  check(true, most_held(GetParam().client_http2));
}

// A hundred streams that take nothing, on one connection: each costs its window at most, and the
// connection's own window bounds them together.
class ManyStreams : public FlowControl {};

TEST_P(ManyStreams, HoldNoMoreThanTheirConnectionsWindow) {
  begin();
  std::vector<Exchange> all;
  for (int i = 0; i < 100; ++i) {
    all.push_back(ask());
    all.back().holds = true;
    respond(all.back(), kTotal);
  }
  for (int round = 0; round < 20; ++round) {
    for (Exchange& e : all) {
      for (int i = 0; i < 16 && push(e, false, kTotal); ++i) {
      }
      loop.run_once(false);
    }
  }
  // Their senders' pieces are ours.  2 MiB: the upstream connection's window, and the client's that
  // was used up.
  EXPECT_LE(static_cast<size_t>(Slab::live()) * Slab::kBytes,
            (2u << 20) + all.size() * 2 * Slab::kBytes);
  size_t sent = 0;
  for (const Exchange& e : all) sent += e.sent;
  // Half a window more is lent (H2Session::settle_window).
  EXPECT_LE(sent, (3u << 20) + all.size() * kPiece);
}

INSTANTIATE_TEST_SUITE_P(Ways, ManyStreams, ::testing::Values(Way{true, true}), name_of);
INSTANTIATE_TEST_SUITE_P(Ways, FlowControl,
                         ::testing::Values(Way{false, false}, Way{false, true}, Way{true, false},
                                           Way{true, true}),
                         name_of);

}  // namespace
}  // namespace pillion::testing
