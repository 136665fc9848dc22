// One HTTP/2 connection to an upstream: what it sends, what it takes for a response, how exchanges
// end.
#include "tests/support/h2_frames.h"
#include "tests/unit/http/h2_client_fixture.h"

namespace pillion::http {
namespace {

using Event = ClientConnection::Event;
using FieldList = testing::H2Peer::FieldList;

TEST_F(H2ClientTest, SendsTheRequestWithPseudoFieldsFirstAndWithoutAnyOfHttp1) {
  open();
  Exchange& e = begin("POST");
  e.request.headers.add("x-one", "1");
  e.request.headers.add(HeaderId::kUserAgent, "t");
  e.request.framing = Framing::kLength;
  e.request.content_length = 3;
  e.request.te_trailers = true;
  e.stream->send_head(e.request, false);
  e.stream->send_body("abc", true);
  turn();
  ASSERT_EQ(peer->streams.size(), 1u);
  EXPECT_EQ(peer->stream(0).fields,
            ":method: POST\n:scheme: http\n:path: /p?q\n:authority: h\ncontent-length: 3\n"
            "te: trailers\nx-one: 1\nuser-agent: t\n");
  EXPECT_EQ(peer->stream(0).body, "abc");
  EXPECT_TRUE(peer->stream(0).ended);
}

// They would fill the tables of HPACK on both sides, and be found there never again.
TEST_F(H2ClientTest, DoesNotIndexWhatIsNewInEachRequest) {
  open();
  Exchange& e = begin();
  for (const std::string_view name : {"x-request-id", "x-one", "traceparent", "x-b3-spanid",
                                      "x-envoy-upstream-service-time", "grpc-timeout"})
    e.request.headers.add(name, "1");
  e.stream->send_head(e.request, true);
  turn();
  ASSERT_EQ(peer->streams.size(), 1u);
  EXPECT_EQ(peer->stream(0).sensitive, "x-request-id;traceparent;x-b3-spanid;grpc-timeout;");
}

TEST_F(H2ClientTest, SendsConnectWithoutSchemeAndPath) {
  open();
  Exchange& e = begin("CONNECT");
  e.request.path = {};
  e.stream->send_head(e.request, false);
  turn();
  EXPECT_EQ(peer->stream(0).fields, ":method: CONNECT\n:authority: h\n");
  peer->head(0, {{":status", "200"}});
  peer->data(0, "down", false);
  e.stream->send_body("up", false);
  turn();
  EXPECT_EQ(e.log, "head 200; ");
  EXPECT_EQ(e.body, "down");
  EXPECT_EQ(peer->stream(0).body, "up");
  e.stream->send_body({}, true);
  peer->data(0, {}, true);
  turn();
  EXPECT_EQ(e.log, "head 200; end down; ");
  EXPECT_EQ(noted(), "idle; room; ");
}

TEST_F(H2ClientTest, SendsTrailersOfTheRequest) {
  open();
  Exchange& e = begin("POST");
  e.request.framing = Framing::kChunked;
  e.stream->send_head(e.request, false);
  e.stream->send_body("abc", false);
  Headers trailers(e.arena);
  trailers.add("x-sum", "7");
  e.stream->send_trailers(trailers);
  turn();
  EXPECT_EQ(peer->stream(0).body, "abc");
  EXPECT_EQ(peer->stream(0).trailers, "x-sum: 7\n");
  EXPECT_TRUE(peer->stream(0).ended);
}

TEST_F(H2ClientTest, DeliversHeadBodyAndTrailersAndIsIdleAgain) {
  open();
  Exchange& e = get();
  peer->informational(0, {{":status", "103"}, {"link", "x"}});
  peer->head(0, {{":status", "200"}, {"content-type", "t"}, {"x-a", "b"}});
  turn();
  ASSERT_EQ(e.log, "info 103; head 200; ");
  EXPECT_EQ(e.response->protocol, Protocol::kHttp2);
  EXPECT_EQ(e.response->framing, Framing::kChunked);
  EXPECT_EQ(e.response->headers.get(HeaderId::kContentType), "t");
  EXPECT_EQ(e.response->headers.find("x-a")->value, "b");
  peer->data(0, "ab", false);
  peer->data(0, "cd", false);
  peer->trailers(0, {{"grpc-status", "0"}});
  turn();
  EXPECT_EQ(e.log, "info 103; head 200; end abcd trailers grpc-status: 0\n; ");
  EXPECT_EQ(noted(), "idle; room; ");
  EXPECT_EQ(active, 0);
  EXPECT_GT(e.wire_sent, 9u);
  EXPECT_GT(e.wire_received, 9u * 4);
  EXPECT_TRUE(has_event(Event::kTrailers));
}

TEST_F(H2ClientTest, CarriesManyExchangesThatEndInAnyOrder) {
  open();
  for (int i = 0; i < 50; ++i) get();
  EXPECT_EQ(active, 50);
  for (size_t i = 50; i-- > 0;) peer->respond(i, str("body", i));
  turn();
  for (size_t i = 0; i < 50; ++i) {
    EXPECT_EQ(exchanges[i]->log, str("head 200; end body", i, "; "));
  }
  EXPECT_EQ(active, 0);
  EXPECT_EQ(connection->exchanges(), 50u);
}

TEST_F(H2ClientTest, TakesWhatCannotHaveABodyForCompleteAtItsHead) {
  struct Row {
    std::string_view method;
    std::string status;
    FieldList fields;
  };
  const Row rows[] = {{"HEAD", "200", {{"content-length", "5"}}},
                      {"GET", "204", {}},
                      {"GET", "304", {{"content-length", "5"}}}};
  open();
  for (size_t i = 0; i < std::size(rows); ++i) {
    Exchange& e = get(rows[i].method);
    FieldList fields = rows[i].fields;
    fields.insert(fields.begin(), {":status", rows[i].status});
    peer->head(i, fields, false);  // END_STREAM comes in an empty DATA frame
    turn();
    EXPECT_EQ(e.log, str("head ", rows[i].status, " end; "));
    peer->data(i, {}, true);
    turn();
  }
  EXPECT_EQ(active, 0);
  EXPECT_TRUE(events.empty());
}

TEST_F(H2ClientTest, ResetsTheStreamOfAMalformedResponseAndKeepsTheConnection) {
  const FieldList rows[] = {
      {},                                        // no status
      {{"x", "y"}},                              // no status
      {{":status", "20"}},                       //
      {{":status", "2000"}},                     //
      {{":status", "2x0"}},                      //
      {{":status", "099"}},                      //
      {{":status", "600"}},                      //
      {{":status", "101"}},                      // RFC 9113, 8.6
      {{":status", "200"}, {":status", "200"}},  // twice
      {{":status", "200"}, {":path", "/"}},      // of requests
      {{"x", "y"}, {":status", "200"}},          // behind a field
      {{":status", "200"}, {"X-Up", "y"}},       // upper case
      {{":status", "200"}, {"x y", "z"}},        // no token
      {{":status", "200"}, {"x:", "z"}},         //
      {{":status", "200"}, {"", "z"}},           //
      {{":status", "200"}, {"x", "a\nb"}},       //
      {{":status", "200"}, {"x", "a\rb"}},       //
      {{":status", "200"}, {"x", std::string("a\0b", 3)}},
      {{":status", "200"}, {"x", "a\x7f"}},           //
      {{":status", "200"}, {"x", " a"}},              //
      {{":status", "200"}, {"x", "a\t"}},             //
      {{":status", "200"}, {"connection", "close"}},  // RFC 9113, 8.2.2
      {{":status", "200"}, {"transfer-encoding", "chunked"}},
      {{":status", "200"}, {"keep-alive", "x"}},
      {{":status", "200"}, {"upgrade", "x"}},
      {{":status", "200"}, {"proxy-connection", "x"}},
      {{":status", "200"}, {"te", "trailers"}},
      {{":status", "200"}, {"content-length", "x"}},
      {{":status", "200"}, {"content-length", "-1"}},
      {{":status", "200"}, {"content-length", "1"}, {"content-length", "1"}},
      {{":status", "204"}, {"content-length", "1"}},
  };
  open();
  size_t index = 0;
  for (const FieldList& fields : rows) {
    SCOPED_TRACE(str("row ", index));
    events.clear();
    Exchange& e = get();
    peer->head(index, fields, false);
    turn();
    EXPECT_EQ(e.log, "reset kUpstreamProtocol; ");
    EXPECT_TRUE(peer->stream(index).closed);
    EXPECT_EQ(peer->stream(index).error, H2Error::kProtocol);
    EXPECT_TRUE(has_event(Event::kMalformed));
    EXPECT_EQ(active, 0);
    ++index;
  }
  Exchange& good = get();
  peer->respond(index);
  turn();
  EXPECT_EQ(good.log, "head 200 end; ");
}

TEST_F(H2ClientTest, ComparesContentLengthWithTheData) {
  struct Row {
    std::string length;
    std::string_view body;
    std::string_view log;
  };
  const Row rows[] = {{"3", "abc", "head 200; end abc; "},
                      {"0", "", "head 200; end ; "},
                      {"4", "abc", "head 200; reset kUpstreamProtocol; "},
                      {"2", "abc", "head 200; reset kUpstreamProtocol; "},
                      {"0", "a", "head 200; reset kUpstreamProtocol; "}};
  open();
  for (size_t i = 0; i < std::size(rows); ++i) {
    Exchange& e = get();
    peer->head(i, {{":status", "200"}, {"content-length", rows[i].length}}, false);
    peer->data(i, rows[i].body, true);
    turn();
    EXPECT_EQ(e.log, rows[i].log) << i;
  }
  // With the end in the head, and in trailers.
  Exchange& at_head = get();
  peer->head(std::size(rows), {{":status", "200"}, {"content-length", "1"}}, true);
  turn();
  EXPECT_EQ(at_head.log, "reset kUpstreamProtocol; ");
  Exchange& at_trailers = get();
  peer->head(std::size(rows) + 1, {{":status", "200"}, {"content-length", "9"}}, false);
  peer->data(std::size(rows) + 1, "abc", false);
  peer->trailers(std::size(rows) + 1, {{"a", "b"}});
  turn();
  EXPECT_EQ(at_trailers.log, "head 200; reset kUpstreamProtocol; ");
  EXPECT_EQ(active, 0);
}

TEST_F(H2ClientTest, RefusesTrailersThatWouldChangeTheMessage) {
  const FieldList rows[] = {
      {{":status", "200"}}, {{"content-length", "3"}},        {{"transfer-encoding", "chunked"}},
      {{"host", "x"}},      {{"x-forwarded-for", "1.1.1.1"}}, {{"x", "a\nb"}}};
  open();
  size_t index = 0;
  for (const FieldList& trailers : rows) {
    Exchange& e = get();
    peer->head(index, {{":status", "200"}}, false);
    peer->trailers(index, trailers);
    turn();
    EXPECT_EQ(e.log, "head 200; reset kUpstreamProtocol; ") << trailers[0].first;
    ++index;
  }
}

TEST_F(H2ClientTest, LimitsHeadsAndInterimHeads) {
  limits.max_bytes = 400;
  limits.max_fields = 5;
  open();
  Exchange& large = get();
  peer->head(0, {{":status", "200"}, {"x", std::string(400, 'a')}}, true);
  turn();
  EXPECT_EQ(large.log, "reset kUpstreamProtocol; ");
  EXPECT_TRUE(has_event(Event::kTooLarge));
  Exchange& many = get();
  FieldList fields{{":status", "200"}};
  for (int i = 0; i < 6; ++i) fields.emplace_back("x", "y");
  peer->head(1, fields, true);
  Exchange& interim = get();
  for (uint32_t i = 0; i <= kMaxInformational; ++i) peer->informational(2, {{":status", "102"}});
  turn();
  EXPECT_EQ(many.log, "reset kUpstreamProtocol; ");
  EXPECT_TRUE(interim.log.ends_with("info 102; reset kUpstreamProtocol; ")) << interim.log;
  EXPECT_TRUE(has_event(Event::kInterimFlood));
  EXPECT_EQ(active, 0);
}

TEST_F(H2ClientTest, TellsHowAResetOfThePeerFailsAnExchange) {
  struct Row {
    H2Error error;
    bool after_head;
    std::string_view log;
  };
  const Row rows[] = {{H2Error::kRefusedStream, false, "reset kStreamRefused; "},
                      {H2Error::kCancel, false, "reset kStreamReset; "},
                      {H2Error::kInternal, true, "head 200; reset kStreamReset; "},
                      {H2Error::kNone, true, "head 200; reset kStreamReset; "}};
  open();
  for (size_t i = 0; i < std::size(rows); ++i) {
    Exchange& e = get();
    if (rows[i].after_head) peer->head(i, {{":status", "200"}}, false);
    turn();
    peer->reset(i, rows[i].error);
    turn();
    EXPECT_EQ(e.log, rows[i].log);
    EXPECT_EQ(active, 0);
  }
  EXPECT_EQ(failure_row(FailureKind::kStreamRefused).retry, RetryClass::refused);
  EXPECT_TRUE(has_event(Event::kStreamRefused));
  EXPECT_TRUE(has_event(Event::kResetByPeer));
}

TEST_F(H2ClientTest, EndsAnUploadThatWasAnsweredEarly) {
  open();
  Exchange& e = begin("POST");
  e.request.framing = Framing::kChunked;
  e.stream->send_head(e.request, false);
  turn();
  peer->respond(0, "no");
  turn();
  EXPECT_EQ(e.log, "head 200; end no; ");
  EXPECT_TRUE(peer->stream(0).closed);
  EXPECT_EQ(active, 0);
  EXPECT_EQ(noted(), "idle; room; ");
}

TEST_F(H2ClientTest, CancelsAStreamAndKeepsTheOthers) {
  open();
  Exchange& a = get();
  Exchange& b = get();
  a.stream->reset();
  turn();
  EXPECT_TRUE(peer->stream(0).closed);
  EXPECT_EQ(peer->stream(0).error, H2Error::kCancel);
  EXPECT_EQ(a.log, "");
  EXPECT_GT(a.wire_sent, 0u);
  peer->respond(1, "b");
  turn();
  EXPECT_EQ(b.log, "head 200; end b; ");
  Exchange& never_sent = begin();
  never_sent.stream->reset();
  EXPECT_EQ(active, 0);
}

TEST_F(H2ClientTest, FailsAllExchangesWhenTheConnectionEnds) {
  open();
  Exchange& waiting = get();
  Exchange& in_body = get();
  peer->head(1, {{":status", "200"}}, false);
  turn();
  peer->close();
  turn();
  EXPECT_EQ(waiting.log, "reset kUpstreamClosed; ");
  EXPECT_EQ(in_body.log, "head 200; reset kUpstreamTruncated; ");
  EXPECT_EQ(connection, nullptr);
  EXPECT_EQ(active, 0);
}

TEST_F(H2ClientTest, TakesNoMoreAfterGoawayAndFailsWhatWasNotProcessed) {
  open();
  Exchange& first = get();
  peer->session.goaway(H2Error::kNone);  // with the first stream as the last
  // On its way when the GOAWAY comes.
  Exchange& second = begin();
  second.stream->send_head(second.request, true);
  peer->flush();
  turn();
  EXPECT_EQ(second.log, "reset kStreamRefused; ");
  EXPECT_NE(noted().find("leaving; "), std::string::npos);
  EXPECT_FALSE(connection->keeps_alive());
  peer->respond(0, "a");
  turn();
  EXPECT_EQ(first.log, "head 200; end a; ");
  EXPECT_EQ(active, 0);
}

TEST_F(H2ClientTest, ObeysMaxConcurrentStreamsAndItsChanges) {
  H2Options one;
  one.max_concurrent_streams = 1;
  open(one);
  EXPECT_EQ(connection->max_streams(), 1u);
  noted();
  peer->set_max_streams(0);
  turn();
  EXPECT_EQ(connection->max_streams(), 0u);
  EXPECT_EQ(noted(), "room; ");
  peer->set_max_streams(7);
  turn();
  EXPECT_EQ(connection->max_streams(), 7u);
  EXPECT_EQ(noted(), "room; ");
}

TEST_F(H2ClientTest, GivesTheWindowBackAsTheSinkTakesTheBytes) {
  options.stream_window = 65535;
  options.connection_window = 1 << 20;
  open();
  Exchange& slow = get();
  slow.pause_at = 1;
  peer->head(0, {{":status", "200"}}, false);
  peer->data(0, std::string(200'000, 'a'), true);
  turn(20);
  EXPECT_EQ(slow.body.size(), 65535u) << "no more than its window";
  Exchange& other = get();
  peer->respond(1, std::string(300'000, 'b'));
  turn(20);
  EXPECT_EQ(other.body.size(), 300'000u) << "another stream is not stopped";
  slow.pause_at = 0;
  slow.stream->resume_response();
  turn(20);
  EXPECT_EQ(slow.body.size(), 200'000u);
  EXPECT_TRUE(slow.done);
  EXPECT_EQ(active, 0);
}

TEST_F(H2ClientTest, GoesOnWhileMoreThanHalfTheConnectionsWindowWaits) {
  options.stream_window = 100'000;
  options.connection_window = 160'000;
  open();
  Exchange& slow = get();
  slow.pause_at = 1;
  peer->head(0, {{":status", "200"}}, false);
  peer->data(0, std::string(200'000, 'a'), true);
  turn(20);
  EXPECT_EQ(slow.body.size(), 100'000u);
  EXPECT_TRUE(connection->is_clogged());
  noted();
  Exchange& other = get();
  peer->respond(1, std::string(1'000'000, 'b'));
  turn(100);
  EXPECT_EQ(other.body.size(), 1'000'000u);
  EXPECT_EQ(noted(), "idle; ");
  slow.pause_at = 0;
  slow.stream->resume_response();
  turn(20);
  EXPECT_EQ(slow.body.size(), 200'000u);
  EXPECT_FALSE(connection->is_clogged());
  EXPECT_TRUE(noted().starts_with("room; "));
}

TEST_F(H2ClientTest, ReturnsTheConnectionsWindowForWhatNobodyTakes) {
  options.stream_window = 65535;
  options.connection_window = 65535;
  open();
  for (size_t i = 0; i < 5; ++i) {
    Exchange& e = get();
    e.pause_at = 1;
    peer->head(i, {{":status", "200"}}, false);
    peer->data(i, std::string(60'000, 'a'), false);
    turn(10);
    ASSERT_EQ(e.body.size(), 60'000u) << i;
    e.stream->reset();
    turn();
  }
  EXPECT_EQ(active, 0);
}

TEST_F(H2ClientTest, HoldsABodyThatThePeersWindowHasNoRoomFor) {
  H2Options narrow;
  narrow.stream_window = 1;
  open(narrow);
  Exchange& e = begin("POST");
  e.request.framing = Framing::kChunked;
  e.stream->send_head(e.request, false);
  turn();
  const std::string body(20'000, 'x');
  e.stream->send_body(body, false);
  EXPECT_TRUE(e.stream->is_backed_up());
  e.stream->send_body({}, true);
  turn(100'000);
  EXPECT_EQ(peer->stream(0).body, body);
  EXPECT_TRUE(peer->stream(0).ended);
  EXPECT_EQ(e.log, "drained; ");
  peer->respond(0);
  turn();
  EXPECT_EQ(active, 0);
}

// The views of a body lie in scratch, into which another connection reads later in the turn.
TEST_F(H2ClientTest, HasPassedOnWhatItReadWhenAnotherReads) {
  struct Other final : io::ReadyTask, io::TransportObserver, io::WriterObserver {
    explicit Other(io::Loop& l) : loop(l) {}
    void run_ready() override { std::ranges::fill(loop.scratch(), 'X'); }
    void on_readable() override {}
    void on_writable() override {}
    void on_closed(Failure) override {}
    void on_drained() override {}
    void on_write_failed() override {}
    io::Loop& loop;
  } other(loop);
  auto [near, far] = testing::FakeTransport::make_pair(loop);
  near->start(other);
  io::Writer writer(batch, other);
  writer.set_transport(*near);
  open();
  Exchange& e = get();
  e.forward = &writer;
  peer->head(0, {{":status", "200"}}, false);
  turn();
  peer->data(0, std::string(10'000, 'a'), true);
  loop.post(other);
  turn();
  EXPECT_TRUE(e.done);
  EXPECT_EQ(far->unread(), std::string(10'000, 'a'));
}

TEST_F(H2ClientTest, ReadsWhateverPiecesTheBytesComeIn) {
  open();
  own_end->max_read = 1;
  Exchange& e = get();
  peer->head(0, {{":status", "200"}, {"x-long", std::string(300, 'v')}}, false);
  peer->data(0, "abc", false);
  peer->trailers(0, {{"grpc-status", "0"}});
  turn(1000);
  EXPECT_EQ(e.log, "head 200; end abc trailers grpc-status: 0\n; ");
}

TEST_F(H2ClientTest, ClosesAConnectionThatBreaksTheProtocol) {
  open();
  Exchange& e = get();
  own_end->inject(std::string("\0\0\1\x01\4\0\0\0\1\xff", 10));  // HPACK nonsense
  turn();
  EXPECT_EQ(e.log, "reset kUpstreamProtocol; ");
  EXPECT_TRUE(has_event(Event::kConnectionError));
  EXPECT_TRUE(peer->got_goaway);
  EXPECT_EQ(connection, nullptr);
}

TEST_F(H2ClientTest, EndsOneStreamWhoseWindowOverflowsAndKeepsTheOthers) {
  open();
  Exchange& e = get();
  Exchange& other = get();
  own_end->inject(testing::frame(8, 0, 1, testing::be32(0x7fffffff)));
  turn();
  EXPECT_EQ(e.log, "reset kStreamReset; ");
  peer->respond(1, "ok");
  turn();
  EXPECT_EQ(other.log, "head 200; end ok; ");
  EXPECT_FALSE(has_event(Event::kConnectionError));
}

TEST_F(H2ClientTest, TakesAWindowUpdateForEveryRequest) {
  open();
  for (size_t i = 0; i < 200; ++i) {
    get();
    own_end->inject(testing::frame(8, 0, 0, testing::be32(1)));
    peer->respond(i);
    turn();
    ASSERT_NE(connection, nullptr) << i;
  }
}

TEST_F(H2ClientTest, ClosesWhenAPingIsNotAnswered) {
  options.ping_interval = std::chrono::seconds(1);
  options.ping_timeout = std::chrono::seconds(1);
  options.ping_jitter_percent = 0;
  open();
  for (int i = 0; i < 5; ++i) {
    loop.skip(std::chrono::milliseconds(1010));
    turn();
    ASSERT_NE(connection, nullptr) << "the peer answers";
  }
  own_end->on_write = [](std::string& bytes) { bytes.clear(); };
  loop.skip(std::chrono::milliseconds(1010));
  turn();
  ASSERT_NE(connection, nullptr);
  loop.skip(std::chrono::milliseconds(1010));
  turn();
  EXPECT_EQ(connection, nullptr);
  EXPECT_TRUE(has_event(Event::kKeepaliveTimeout));
}

TEST_F(H2ClientTest, SaysGoawayWhenItCloses) {
  open();
  connection->close({FailureKind::kIdleTimeout});
  turn();
  EXPECT_TRUE(peer->got_goaway);
  EXPECT_TRUE(peer->eof);
}

// As a pool does that drains: the end of the last stream is told from within the session.
TEST_F(H2ClientTest, SaysGoawayWhenItIsClosedAtTheEndOfAStream) {
  open();
  closes_when_idle = true;
  Exchange& e = get();
  peer->respond(0, "body");
  turn();
  EXPECT_EQ(e.log, "head 200; end body; ");
  EXPECT_EQ(connection, nullptr);
  EXPECT_TRUE(has_event(Event::kGoawaySent));
  EXPECT_TRUE(peer->got_goaway);
  EXPECT_EQ(peer->goaway_error, H2Error::kNone);
  EXPECT_FALSE(peer->session.is_broken());
  EXPECT_TRUE(peer->eof);
}

// Or the system would reset the connection, which overtakes the GOAWAY.
TEST_F(H2ClientTest, LeavesNothingUnreadWhenItCloses) {
  open();
  get();
  peer->head(0, {{":status", "200"}});
  peer->data(0, std::string(50'000, 'x'), false);
  EXPECT_NE(own_end->unread(), "");
  connection->close({FailureKind::kIdleTimeout});
  EXPECT_EQ(own_end->unread(), "");
  turn();
  EXPECT_TRUE(peer->got_goaway);
}

TEST_F(H2ClientTest, ReadsABoundedAmountWhenItCloses) {
  open();
  own_end->inject(std::string(1 << 20, 'x'));
  connection->close({FailureKind::kIdleTimeout});
  EXPECT_GT(own_end->unread().size(), size_t{900'000});
}

TEST_F(H2ClientTest, KeepsPathAndAuthorityOutOfTheTablesIfTheClientWantsThat) {
  open();
  Exchange& e = begin();
  e.request.path_never_index = true;
  e.stream->send_head(e.request, true);
  Exchange& other = begin();
  other.request.authority_never_index = true;
  other.stream->send_head(other.request, true);
  turn();
  EXPECT_EQ(peer->stream(0).sensitive, ":path;");
  EXPECT_EQ(peer->stream(1).sensitive, ":authority;");
}

TEST_F(H2ClientTest, SendsTrailersBehindARequestThatWaitsForItsTurn) {
  H2Options one;
  one.max_concurrent_streams = 1;
  open(one);
  get();
  Exchange& e = begin("POST");
  e.request.framing = Framing::kChunked;
  e.stream->send_head(e.request, false);
  Headers trailers(e.arena);
  trailers.add("x-sum", "7");
  e.stream->send_trailers(trailers);
  turn();
  ASSERT_EQ(peer->streams.size(), 1u);
  peer->respond(0);
  turn();
  ASSERT_EQ(peer->streams.size(), 2u);
  EXPECT_EQ(peer->stream(1).trailers, "x-sum: 7\n");
  EXPECT_TRUE(peer->stream(1).ended);
}

// The last piece and the end come in one frame, and nobody resumes a response that is over.
TEST_F(H2ClientTest, ReturnsTheConnectionsWindowForTheTailOfAPausedResponse) {
  options.stream_window = 65535;
  options.connection_window = 65535;
  open();
  for (size_t i = 0; i < 12; ++i) {
    Exchange& e = get();
    e.pause_at = 1;
    peer->head(i, {{":status", "200"}}, false);
    peer->data(i, std::string(10'000, 'a'), false);
    turn(10);
    peer->data(i, std::string(10'000, 'b'), true);
    turn(10);
    ASSERT_EQ(e.body.size(), 20'000u) << i;
    EXPECT_TRUE(e.done);
  }
  EXPECT_EQ(active, 0);
}

}  // namespace
}  // namespace pillion::http
