#pragma once
// An H1ServerConnection over a FakeTransport with a scripted stream, and the client's end of it.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "proxy/http/h1_server.h"
#include "tests/support/fake_transport.h"
#include "tests/support/h1_parse.h"

namespace pillion::http {

class ServerTest : public ::testing::Test, public H1ServerConnection::Owner {
 protected:
  // Written down in order: "head GET /a", "body xyz", "end", "failed kBadChunk", "done reusable",
  // ...
  std::vector<std::string> log;

  struct Stream final : RequestSink, io::Deferred {
    explicit Stream(ServerTest& t) : test(t), head(arena) {}
    void on_request_head(bool end) override {
      test.note(str("head ", head.method_text, " ", head.path, end ? " end" : ""));
      test.on_head(*this, end);
    }
    void on_request_body(std::string_view data, bool end) override {
      if (!data.empty()) test.body += data;
      if (end) test.note("end");
      test.on_body(*this, data, end);
    }
    void on_request_trailers() override {
      test.note(str("trailers ", testing::describe(*trailers)));
      test.on_body(*this, {}, true);
    }
    void on_request_failed(Failure failure) override {
      test.note(str("failed ", failure.row().name, " ", head.method_text, " ", head.path));
      if (test.response_began) return test.server->reset(failure);
      if (failure.row().status != 0) test.reply(failure.row().status, failure.row().body);
    }
    void on_response_drained() override { test.note("drained"); }
    ServerTest& test;
    Arena arena;
    RequestHead head;
    Headers* trailers = nullptr;
  };

  void SetUp() override { open(); }
  void open(std::string_view already_read = {}, const H1Limits* limits = nullptr) {
    if (server != nullptr) server->close({FailureKind::kNone});
    turn();
    log.clear();
    auto [a, b] = testing::FakeTransport::make_pair(loop);
    client = std::move(a);
    end_of_server = b.get();
    server = std::make_unique<H1ServerConnection>(
        loop, batch, limits == nullptr ? default_limits : *limits, *this);
    server->start(std::move(b), already_read);
    closed = false;
  }
  void TearDown() override {
    if (server != nullptr) server->close({FailureKind::kNone});
    turn();
    client.reset();
    turn();
    EXPECT_EQ(Slab::live(), 0);
  }
  void turn(int n = 4) {
    for (int i = 0; i < n; ++i) loop.run_once(false);
  }
  void send(std::string_view bytes) {
    end_of_server->inject(bytes);
    turn();
  }
  // What the client got since the last call.
  std::string received() {
    std::string out;
    char room[4096];
    while (true) {
      const io::IoResult r = client->read(room, sizeof room);
      if (r.bytes == 0) break;
      out.append(room, r.bytes);
    }
    return out;
  }
  void note(std::string line) { log.push_back(std::move(line)); }
  std::string noted() {
    std::string out;
    for (const std::string& line : log) out += str(line, "; ");
    log.clear();
    return out;
  }

  // Answers the running exchange with a head of that length and a body.
  void reply(uint16_t status, std::string_view text) {
    ResponseHead* h = response(status);
    h->framing = text.empty() ? Framing::kNone : Framing::kLength;
    h->content_length = text.size();
    h->has_content_length = true;
    const bool bodiless =
        text.empty() || (stream != nullptr && stream->head.method == Method::kHead);
    server->send_head(*h, bodiless);
    if (!bodiless) server->send_body(text, true);
  }
  ResponseHead* response(uint16_t status) {
    auto* h = arena.create<ResponseHead>(arena);
    h->status = status;
    h->framing = Framing::kChunked;
    return h;
  }

  // Scripts: by default each request is answered with its path when it is complete.
  virtual void on_head(Stream& s, bool end) {
    if (answer_at_head || (end && answer)) reply(200, s.head.path);
  }
  virtual void on_body(Stream& s, std::string_view, bool end) {
    if (end && answer) reply(200, s.head.path);
  }

  // Owner
  void on_server_connected() override { note("connected"); }
  RequestSink& new_stream() override {
    stream = new Stream(*this);
    ++streams;
    return *stream;
  }
  RequestHead& request_head() override { return stream->head; }
  Headers& new_request_trailers() override {
    return *(stream->trailers = stream->arena.create<Headers>(stream->arena));
  }
  void end_stream() {
    if (stream != nullptr) loop.delete_later(std::exchange(stream, nullptr));
  }
  void on_exchange_done(bool reusable) override {
    note(reusable ? "done reusable" : "done");
    end_stream();
  }
  void on_server_closed(Failure failure) override {
    note(str("closed ", failure.row().name));
    closed = true;
    end_stream();
    loop.delete_later(std::move(server));
  }
  void on_malformed(FailureKind) override { ++malformed; }
  void on_head_complete(size_t bytes) override { head_bytes = bytes; }

  io::Loop loop;
  io::WriteBatch batch{loop};
  H1Limits default_limits;
  Arena arena;
  std::unique_ptr<testing::FakeTransport> client;
  testing::FakeTransport* end_of_server = nullptr;
  std::unique_ptr<H1ServerConnection> server;
  Stream* stream = nullptr;
  std::string body;
  size_t head_bytes = 0;
  int streams = 0;
  int malformed = 0;
  bool answer = true;
  bool answer_at_head = false;
  bool response_began = false;  // a failure cannot be answered any more
  bool closed = false;
};

}  // namespace pillion::http
