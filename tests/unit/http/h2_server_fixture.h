#pragma once
// An H2ServerConnection over a FakeTransport with scripted exchanges, and two clients for it: an
// H2Session (H2TestClient), and raw frames.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/http/h2_preface.h"
#include "proxy/http/h2_server.h"
#include "tests/support/fake_transport.h"
#include "tests/support/h1_parse.h"
#include "tests/support/h2_frames.h"
#include "tests/support/h2_test_client.h"

namespace pillion::http {

class H2ServerTest : public ::testing::Test, public H2ServerConnection::Owner {
 protected:
  // Written down in order: "head GET /a end", "end", "failed kH2Malformed", "done", ...
  std::vector<std::string> log;

  struct Exchange final : H2Exchange, RequestSink, io::Deferred, ListNode<> {
    Exchange(H2ServerTest& t, H2ServerStream& s) : test(t), stream(&s), head(arena) {}
    RequestSink& sink() override { return *this; }
    RequestHead& request_head() override { return head; }
    Headers& new_request_trailers() override { return *(trailers = arena.create<Headers>(arena)); }
    void on_head_complete(size_t) override {}
    void on_exchange_done() override {
      test.note("done");
      ListNode<>::unlink();
      stream = nullptr;
      test.loop.delete_later(this);
    }
    void on_request_head(bool end) override {
      test.note(str("head ", head.method_text, " ", head.path, end ? " end" : ""));
      test.last_head = testing::describe(head.headers);
      test.last_authority = head.authority;
      if (test.answer_at_head || (end && test.answer)) test.reply(*this, 200, head.path);
    }
    void on_request_body(std::string_view data, bool end) override {
      test.body += data;
      if (end) test.note("end");
      if (end && test.answer && stream != nullptr) test.reply(*this, 200, head.path);
    }
    void on_request_trailers() override {
      test.note(str("trailers ", testing::describe(*trailers)));
      if (test.answer) test.reply(*this, 200, head.path);
    }
    void on_request_failed(Failure failure) override {
      test.note(str("failed ", failure.row().name));
      const bool is_gone = failure.kind == FailureKind::kDownstreamReset ||
                           failure.kind == FailureKind::kDownstreamClosed;
      if (is_gone || stream == nullptr) return;
      if (failure.row().status == 0) return stream->reset(failure);
      test.reply(*this, failure.row().status, failure.row().body);
    }
    void on_response_drained() override { test.note("drained"); }
    H2ServerTest& test;
    H2ServerStream* stream;
    Arena arena;
    RequestHead head;
    Headers* trailers = nullptr;
  };

  void SetUp() override { open(); }
  void open() {
    if (server != nullptr) server->close({FailureKind::kNone});
    turn();
    log.clear();
    auto [a, b] = testing::FakeTransport::make_pair(loop);
    raw = std::move(a);
    end_of_server = b.get();
    server = std::make_unique<H2ServerConnection>(loop, batch, limits, options, *this);
    closed = false;
    server->start(std::move(b), {}, true);
  }
  // Speaks for the client from now on.
  testing::H2TestClient& client(const H2Options& client_options = {}) {
    test_client = std::make_unique<testing::H2TestClient>(batch, std::move(raw), client_options);
    turn();
    return *test_client;
  }
  void TearDown() override {
    if (server != nullptr) server->close({FailureKind::kNone});
    turn();
    test_client.reset();
    raw.reset();
    turn();
    EXPECT_TRUE(exchanges.empty());
    EXPECT_EQ(streams, 0);
    EXPECT_EQ(Slab::live(), 0);
  }
  void turn(int n = 6) {
    for (int i = 0; i < n; ++i) loop.run_once(false);
  }
  void send(std::string_view bytes) {
    end_of_server->inject(bytes);
    turn();
  }
  // The preface, SETTINGS and what a raw client has to say at first.
  void greet() { send(str(kH2Preface, testing::frame(4, 0, 0, ""))); }
  // Frames that the raw client got since the last call, in words.
  std::string received() {
    char room[4096];
    while (true) {
      const io::IoResult r = raw->read(room, sizeof room);
      if (r.bytes == 0) break;
      inbox.append(room, r.bytes);
    }
    return testing::describe_frames(inbox);
  }
  void note(std::string line) { log.push_back(std::move(line)); }
  std::string noted() {
    std::string out;
    for (const std::string& line : log) out += str(line, "; ");
    log.clear();
    return out;
  }
  ResponseHead* response(Exchange& e, uint16_t status) {
    auto* h = e.arena.create<ResponseHead>(e.arena);
    h->status = status;
    h->framing = Framing::kChunked;
    return h;
  }
  void reply(Exchange& e, uint16_t status, std::string_view text) {
    ResponseHead* h = response(e, status);
    h->framing = text.empty() ? Framing::kNone : Framing::kLength;
    h->content_length = text.size();
    h->has_content_length = true;
    const bool bodiless = text.empty() || e.head.method == Method::kHead;
    H2ServerStream* stream = e.stream;
    stream->send_head(*h, bodiless);
    if (!bodiless) stream->send_body(text, true);
  }
  Exchange& last() { return *exchanges.back(); }
  // The head of an answer of the last exchange, whose body is to follow.
  void send_head() { last().stream->send_head(*response(last(), 200), false); }
  // The end of the last exchange; the trailers live during the call only.
  void send_trailers(std::string_view name, std::string_view value) {
    Arena arena;
    Headers trailers(arena);
    trailers.add_copy(name, value);
    last().stream->send_trailers(trailers);
  }

  // Owner
  void on_server_connected() override {}
  H2Exchange& new_exchange(H2ServerStream& stream) override {
    auto* e = new Exchange(*this, stream);
    exchanges.push_back(*e);
    ++begun;
    return *e;
  }
  void on_idle() override {}
  void on_stream_count(int change) override { streams += change; }
  void on_event(H2ServerConnection::Event event) override { events.push_back(event); }
  void on_flood(H2Flood flood) override { floods.push_back(flood); }
  void on_malformed(FailureKind) override { ++malformed; }
  void on_server_closed(Failure failure) override {
    note(str("closed ", failure.row().name));
    closed = true;
    while (Exchange* e = exchanges.front()) {
      e->ListNode<>::unlink();
      loop.delete_later(e);
    }
    loop.delete_later(std::move(server));
  }
  void on_traffic(uint64_t, uint64_t) override {}
  bool saw(H2ServerConnection::Event event) const {
    return std::find(events.begin(), events.end(), event) != events.end();
  }

  io::Loop loop;
  io::WriteBatch batch{loop};
  H1Limits limits;
  H2Options options;
  std::unique_ptr<testing::FakeTransport> raw;
  std::unique_ptr<testing::H2TestClient> test_client;
  testing::FakeTransport* end_of_server = nullptr;
  std::unique_ptr<H2ServerConnection> server;
  IntrusiveList<Exchange> exchanges;
  std::vector<H2ServerConnection::Event> events;
  std::vector<H2Flood> floods;
  std::string inbox;
  std::string body;
  std::string last_head;
  std::string last_authority;
  int begun = 0;
  int streams = 0;
  int malformed = 0;
  bool answer = true;
  bool answer_at_head = false;
  bool closed = false;
};

}  // namespace pillion::http
