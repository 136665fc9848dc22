#include "proxy/admin_listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "proxy/base/buffer.h"
#include "tests/support/run_until.h"
#include "tests/unit/server/http_client.h"

namespace pillion {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using testing::HttpClient;
using testing::HttpReply;
using testing::run_until;

// Pieces of one letter each, "aaaa...bbbb...", and a record of when they were asked for.
struct Produced {
  size_t bytes = 0;
  bool destroyed = false;
  bool two_in_a_turn = false;
  std::set<uint64_t> turns;
};

class LetterSource final : public stats::TextSource {
 public:
  LetterSource(io::Loop& loop, Produced& produced, int pieces)
      : loop_(loop), produced_(produced), pieces_(pieces) {}
  ~LetterSource() override { produced_.destroyed = true; }
  bool next(std::string& out) override {
    if (!produced_.turns.insert(loop_.counts.turns).second) produced_.two_in_a_turn = true;
    const int index = at_++;
    if (index % 5 != 4) {  // every fifth is empty
      out.append(kPieceBytes, static_cast<char>('a' + index % 26));
      produced_.bytes += kPieceBytes;
    }
    return at_ < pieces_;
  }
  static std::string whole(int pieces) {
    std::string all;
    for (int i = 0; i < pieces; ++i) {
      if (i % 5 != 4) all.append(kPieceBytes, static_cast<char>('a' + i % 26));
    }
    return all;
  }

 private:
  io::Loop& loop_;
  Produced& produced_;
  const int pieces_;
  int at_ = 0;
};

class AdminListenerTest : public ::testing::Test {
 protected:
  AdminListenerTest() {
    router_.add(
        {"/ready", "is it ready", {}, false, [](const admin::Request&, admin::Response& response) {
           response.body = "LIVE\n";
         }});
    router_.add({"/empty", "nothing", {}, false, [](const admin::Request&, admin::Response&) {}});
    router_.add({"/echo",
                 "what was asked",
                 {},
                 true,
                 [](const admin::Request& request, admin::Response& response) {
                   for (const auto& [name, value] : request.params)
                     response.body += name + "=" + value + ";";
                   response.body += request.host;
                 }});
    router_.add(
        {"/large", "a long body", {}, false, [](const admin::Request&, admin::Response& response) {
           response.body = std::string(kLarge, 'x');
         }});
    router_.add({"/stream",
                 "a stream",
                 {},
                 false,
                 [this](const admin::Request&, admin::Response& response) {
                   response.body = "begin:";
                   response.stream =
                       std::make_unique<LetterSource>(loop_, produced_, stream_pieces_);
                 }});
    open({});
  }
  ~AdminListenerTest() override {
    listener_.reset();
    loop_.run_once(false);
  }

  void open(const AdminLimits& limits) {
    listener_.reset();
    auto opened =
        AdminListener::open(loop_, batch_, *io::Address::parse_ip("127.0.0.1", 0), router_, limits);
    ASSERT_TRUE(opened.has_value()) << opened.error();
    listener_ = std::move(*opened);
  }
  HttpReply receive(HttpClient& client, bool to_head = false) {
    HttpReply reply;
    bool done = false;  // a reply is taken once, but run_until() may ask again
    EXPECT_TRUE(run_until(loop_, [&] { return done = done || client.receive(reply, to_head); }));
    return reply;
  }
  HttpReply ask(HttpClient& client, std::string_view request) {
    client.send(request);
    return receive(client);
  }
  HttpReply ask(std::string_view request) {
    HttpClient client(listener_->address());
    return ask(client, request);
  }
  bool ends(HttpClient& client) {
    return run_until(loop_, [&] { return client.is_closed(); });
  }

  static constexpr size_t kLarge = 8 << 20;
  io::Loop loop_;
  io::WriteBatch batch_{loop_};
  admin::Router router_;
  Produced produced_;
  int stream_pieces_ = 12;
  std::unique_ptr<AdminListener> listener_;
};

TEST_F(AdminListenerTest, AnswersManyRequestsOnOneConnection) {
  HttpClient client(listener_->address());
  for (int i = 0; i < 3; ++i) {
    const HttpReply reply = ask(client, "GET /ready HTTP/1.1\r\nhost: a\r\n\r\n");
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, "LIVE\n");
    EXPECT_EQ(reply.headers.at("content-length"), "5");
    EXPECT_EQ(reply.headers.at("content-type"), "text/plain; charset=UTF-8");
    EXPECT_THAT(reply.headers.at("date"), HasSubstr(" GMT"));
    EXPECT_FALSE(reply.headers.contains("connection"));
  }
  EXPECT_EQ(ask(client, "GET /empty HTTP/1.1\r\nhost: a\r\n\r\n").headers.at("content-length"),
            "0");
  EXPECT_EQ(listener_->connection_count(), 1u);
}

TEST_F(AdminListenerTest, HeadHasTheHeadersAndNoBody) {
  HttpClient client(listener_->address());
  client.send("HEAD /ready HTTP/1.1\r\nhost: a\r\n\r\n");
  EXPECT_EQ(receive(client, true).headers.at("content-length"), "5");
  client.send("HEAD /stream HTTP/1.1\r\nhost: a\r\n\r\n");
  EXPECT_EQ(receive(client, true).status, 200);
  EXPECT_EQ(produced_.bytes, 0u);
  EXPECT_EQ(ask(client, "GET /ready HTTP/1.1\r\nhost: a\r\n\r\n").body, "LIVE\n");
}

TEST_F(AdminListenerTest, OtherAnswersOfTheRouterArrive) {
  struct Case {
    const char* request;
    int status;
    const char* body;
  };
  const Case cases[] = {
      {"GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n", 404, "admin commands are:"},
      {"GET /echo HTTP/1.1\r\nhost: a\r\n\r\n", 405, "POST required"},
      {"PUT /ready HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc", 405, "GET required"},
      {"POST /echo HTTP/1.1\r\nhost: a\r\norigin: http://evil\r\n\r\n", 403, "another origin"},
      {"POST /echo HTTP/1.1\r\nhost: 127.0.0.1:1\r\norigin: http://127.0.0.1:1\r\n\r\n", 200,
       "127.0.0.1:1"},
      // A name that its owner made to point here.
      {"POST /echo HTTP/1.1\r\nhost: a:1\r\norigin: http://a:1\r\n\r\n", 403, "another origin"},
      {"POST /echo?b=1&c HTTP/1.1\r\nhost: a\r\n\r\n", 200, "b=1;c=;a"},
      {"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", 404, "invalid path"},
      {"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n", 404, "invalid path"},
      {"GET /ready HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", 200,
       "LIVE"},
      {"GET http://a/ready HTTP/1.1\r\nhost: a\r\n\r\n", 200, "LIVE"},
  };
  for (const Case& each : cases) {
    const HttpReply reply = ask(each.request);
    EXPECT_EQ(reply.status, each.status) << each.request;
    EXPECT_THAT(reply.body, HasSubstr(each.body)) << each.request;
  }
  EXPECT_EQ(ask("GET /echo HTTP/1.1\r\nhost: a\r\n\r\n").headers.at("allow"), "POST");
}

TEST_F(AdminListenerTest, AFormIsReadHoweverItsBodyIsFramed) {
  const std::string head =
      "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\n";
  const std::string requests[] = {
      head + "content-length: 11\r\n\r\nlevel=debug",
      head + "transfer-encoding: chunked\r\n\r\n6\r\nlevel=\r\n5\r\ndebug\r\n0\r\n\r\n",
      head + "transfer-encoding: chunked\r\n\r\n6\r\nlevel=\r\n5\r\ndebug\r\n0\r\nx-a: b\r\n\r\n",
  };
  for (const std::string& request : requests) {
    EXPECT_EQ(ask(request).body, "level=debug;a") << request;
    HttpClient slow(listener_->address());
    for (char c : request) {
      slow.send({&c, 1});
      loop_.run_once(false);
    }
    EXPECT_EQ(receive(slow).body, "level=debug;a") << request;
    EXPECT_EQ(ask(slow, "GET /ready HTTP/1.1\r\nhost: a\r\n\r\n").body, "LIVE\n");
  }
}

TEST_F(AdminListenerTest, AClientThatExpectsContinueIsToldTo) {
  HttpClient client(listener_->address());
  client.send(
      "POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n");
  EXPECT_EQ(receive(client).status, 100);
  EXPECT_EQ(ask(client, "x").status, 200);
}

TEST_F(AdminListenerTest, ATooLargeBodyIsRefusedAndTheConnectionCloses) {
  const std::string limit(64 * 1024, 'x');
  EXPECT_EQ(ask("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 65536\r\n\r\n" + limit).status,
            200);
  const std::string requests[] = {
      "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 65537\r\n\r\n" + limit,
      "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n10001\r\n" + limit +
          "x\r\n0\r\n\r\n",
  };
  for (const std::string& request : requests) {
    HttpClient client(listener_->address());
    const HttpReply reply = ask(client, request);
    EXPECT_EQ(reply.status, 413);
    EXPECT_EQ(reply.headers.at("connection"), "close");
    EXPECT_TRUE(ends(client));
  }
}

TEST_F(AdminListenerTest, AMalformedRequestIsRefusedAndTheConnectionCloses) {
  const std::pair<const char*, int> cases[] = {
      {"nonsense\r\n\r\n", 400},
      {"GET /ready HTTP/1.1\r\n\r\n", 400},
      {"GET /ready HTTP/3.0\r\nhost: a\r\n\r\n", 505},
      {"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
       400},
      {"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400},
  };
  for (const auto& [request, status] : cases) {
    HttpClient client(listener_->address());
    const HttpReply reply =
        ask(client, std::string(request) + "GET /ready HTTP/1.1\r\nhost: a\r\n\r\n");
    EXPECT_EQ(reply.status, status) << request;
    EXPECT_EQ(reply.headers.at("connection"), "close") << request;
    EXPECT_TRUE(ends(client)) << request;
    HttpReply another;
    EXPECT_FALSE(client.receive(another)) << request;
  }
}

TEST_F(AdminListenerTest, PipelinedRequestsAreAnsweredInOrder) {
  HttpClient client(listener_->address());
  constexpr int kRequests = 200;
  std::string all;
  for (int i = 0; i < kRequests; ++i)
    all += "POST /echo?i=" + std::to_string(i) + " HTTP/1.1\r\nhost: a\r\n\r\n";
  client.send(all);
  for (int i = 0; i < kRequests; ++i)
    ASSERT_EQ(receive(client).body, "i=" + std::to_string(i) + ";a");
}

TEST_F(AdminListenerTest, AStreamFollowsTheBodyInPiecesOnePerTurn) {
  HttpClient client(listener_->address());
  const HttpReply reply = ask(client, "GET /stream HTTP/1.1\r\nhost: a\r\n\r\n");
  EXPECT_EQ(reply.headers.at("transfer-encoding"), "chunked");
  EXPECT_TRUE(reply.body == "begin:" + LetterSource::whole(stream_pieces_));
  EXPECT_FALSE(produced_.two_in_a_turn);
  EXPECT_EQ(ask(client, "GET /ready HTTP/1.1\r\nhost: a\r\n\r\n").body, "LIVE\n");
  EXPECT_TRUE(produced_.destroyed);
}

TEST_F(AdminListenerTest, AnHttp10ClientGetsTheStreamUntilTheConnectionCloses) {
  HttpClient client(listener_->address());
  const HttpReply reply = ask(client, "GET /stream HTTP/1.0\r\n\r\n");
  EXPECT_FALSE(reply.headers.contains("transfer-encoding"));
  EXPECT_TRUE(reply.body == "begin:" + LetterSource::whole(stream_pieces_));
}

TEST_F(AdminListenerTest, ASlowReaderOfALongStreamCostsLittleAndDelaysNobody) {
  stream_pieces_ = 400;  // 20 MiB
  HttpClient slow(listener_->address(), 4096);
  slow.send("GET /stream HTTP/1.1\r\nhost: a\r\n\r\n");
  // It takes nothing, until the server has nothing to do any more but to wait.
  size_t before = SIZE_MAX;
  while (before != produced_.bytes || before == 0) {
    before = produced_.bytes;
    testing::run_for(loop_, 50ms);
  }
  EXPECT_LT(produced_.bytes, size_t{8} << 20);  // with the kernel's buffers
  EXPECT_LE(Slab::live(), 8);
  EXPECT_EQ(ask("GET /ready HTTP/1.1\r\nhost: a\r\n\r\n").body, "LIVE\n");
  slow.take_more(1 << 20);
  EXPECT_TRUE(receive(slow).body == "begin:" + LetterSource::whole(stream_pieces_));
}

TEST_F(AdminListenerTest, ALongBodyIsNotCopiedForASlowReader) {
  HttpClient slow(listener_->address(), 4096);
  slow.send("GET /large HTTP/1.1\r\nhost: a\r\n\r\n");
  testing::run_for(loop_, 100ms);
  EXPECT_LE(Slab::live(), 8);
  EXPECT_EQ(receive(slow).body.size(), kLarge);
}

TEST_F(AdminListenerTest, AClientThatGoesAwayEndsItsStream) {
  stream_pieces_ = 1000;
  {
    HttpClient client(listener_->address(), 4096);
    client.send("GET /stream HTTP/1.1\r\nhost: a\r\n\r\n");
    ASSERT_TRUE(run_until(loop_, [&] { return produced_.bytes != 0; }));
  }
  EXPECT_TRUE(
      run_until(loop_, [&] { return listener_->connection_count() == 0 && produced_.destroyed; }));
}

TEST_F(AdminListenerTest, IdleConnectionsMakeRoomForNewOnes) {
  open({.max_connections = 3});
  HttpClient first(listener_->address());
  HttpClient second(listener_->address());
  second.send("GET /rea");  // busy
  HttpClient third(listener_->address());
  ASSERT_TRUE(run_until(loop_, [&] { return listener_->connection_count() == 3; }));
  HttpClient fourth(listener_->address());
  EXPECT_EQ(ask(fourth, "GET /ready HTTP/1.1\r\nhost: a\r\n\r\n").status, 200);
  EXPECT_TRUE(ends(first));
  EXPECT_EQ(ask(second, "dy HTTP/1.1\r\nhost: a\r\n\r\n").status, 200);
  EXPECT_FALSE(third.is_closed());
}

TEST_F(AdminListenerTest, WhenAllConnectionsAreBusyANewOneIsRefused) {
  open({.max_connections = 2});
  HttpClient first(listener_->address());
  HttpClient second(listener_->address());
  first.send("GET /rea");
  second.send("GET /rea");
  ASSERT_TRUE(run_until(loop_, [&] { return listener_->connection_count() == 2; }));
  testing::run_for(loop_, 20ms);
  HttpClient third(listener_->address());
  EXPECT_TRUE(ends(third));
  EXPECT_EQ(ask(first, "dy HTTP/1.1\r\nhost: a\r\n\r\n").status, 200);
}

TEST_F(AdminListenerTest, ManyClientsAtOnceAreAllAnswered) {
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (int i = 0; i < 100; ++i)
    clients.push_back(std::make_unique<HttpClient>(listener_->address()));
  for (auto& client : clients) client->send("GET /ready HTTP/1.1\r\nhost: a\r\n\r\n");
  for (auto& client : clients) EXPECT_EQ(receive(*client).body, "LIVE\n");
  EXPECT_EQ(listener_->connection_count(), 100u);
  clients.clear();
  EXPECT_TRUE(run_until(loop_, [&] { return listener_->connection_count() == 0; }));
}

TEST_F(AdminListenerTest, AnIdleConnectionIsClosed) {
  open({.idle_timeout = 50ms});
  HttpClient silent(listener_->address());
  EXPECT_TRUE(ends(silent));
  HttpClient kept_alive(listener_->address());
  EXPECT_EQ(ask(kept_alive, "GET /ready HTTP/1.1\r\nhost: a\r\n\r\n").status, 200);
  EXPECT_TRUE(ends(kept_alive));
}

TEST_F(AdminListenerTest, AReaderThatStallsIsGivenUp) {
  open({.idle_timeout = 100ms});
  stream_pieces_ = 1000;
  HttpClient client(listener_->address(), 4096);
  client.send("GET /stream HTTP/1.1\r\nhost: a\r\n\r\n");
  EXPECT_TRUE(
      run_until(loop_, [&] { return produced_.bytes != 0 && listener_->connection_count() == 0; }));
}

TEST_F(AdminListenerTest, ARequestThatDoesNotEndIsAnswered408) {
  open({.request_timeout = 50ms});
  for (const char* begun :
       {"GET /rea", "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc"}) {
    HttpClient client(listener_->address());
    const HttpReply reply = ask(client, begun);
    EXPECT_EQ(reply.status, 408) << begun;
    EXPECT_EQ(reply.headers.at("connection"), "close") << begun;
    EXPECT_TRUE(ends(client)) << begun;
  }
}

TEST_F(AdminListenerTest, CloseEndsEverything) {
  stream_pieces_ = 1000;
  const io::Address address = listener_->address();
  HttpClient idle(address);
  HttpClient busy(address, 4096);
  busy.send("GET /stream HTTP/1.1\r\nhost: a\r\n\r\n");
  ASSERT_TRUE(
      run_until(loop_, [&] { return produced_.bytes != 0 && listener_->connection_count() == 2; }));
  listener_->close();
  listener_->close();
  EXPECT_EQ(listener_->connection_count(), 0u);
  EXPECT_TRUE(ends(idle));
  EXPECT_TRUE(ends(busy));
  EXPECT_TRUE(run_until(loop_, [&] { return produced_.destroyed; }));
  EXPECT_FALSE(HttpClient(address).is_connected());
}

TEST_F(AdminListenerTest, AnAddressInUseIsASentence) {
  const auto second = AdminListener::open(loop_, batch_, listener_->address(), router_);
  ASSERT_FALSE(second.has_value());
  EXPECT_THAT(second.error(), HasSubstr("Address already in use"));
}

}  // namespace
}  // namespace pillion
