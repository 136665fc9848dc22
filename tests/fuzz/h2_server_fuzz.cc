// Any bytes behind the preface of an HTTP/2 client on a whole connection, cut as the first byte of
// the input says: requests are answered at their head, at their end or never, as their stream's
// number says.  Nothing may be left behind, and what is taken for a request is one in HTTP/1 too.
// With the highest bit of the first byte the limits are so low that any flood is soon one.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "proxy/http/h2_preface.h"
#include "proxy/http/h2_server.h"
#include "tests/support/fake_transport.h"
#include "tests/support/h1_written.h"

using namespace pillion;

namespace {

class Session final : public http::H2ServerConnection::Owner {
 public:
  Session(std::string_view bytes, uint32_t seed) : seed_(seed) {
    auto [a, b] = testing::FakeTransport::make_pair(loop_);
    client_ = std::move(a);
    server_end_ = b.get();
    options_.allow_connect = true;
    if ((seed & 0x80) != 0) {
      options_.max_concurrent_streams = 2;
      options_.stream_window = options_.connection_window = 65535;
      options_.hpack_table_size = 64;
      options_.max_outbound_control_frames = options_.max_priority_frames_per_stream = 5;
      options_.max_window_updates_per_data_frame = 1;
      options_.stream_reset_burst = options_.stream_reset_rate = 5;
      limits_.max_bytes = 500;
      limits_.max_fields = 5;
      limits_.linger_time = Duration{};
    }
    if (seed != 0) server_end_->next_max_read = [this] { return 1 + (random() & 63); };
    server_ = std::make_unique<http::H2ServerConnection>(loop_, batch_, limits_, options_, *this);
    server_->start(std::move(b), {}, true);
    server_end_->inject(http::kH2Preface);
    server_end_->inject(bytes);
    run();
    if (server_ != nullptr) {
      server_end_->inject_fin();
      run();
    }
    if (server_ != nullptr) server_->close({FailureKind::kNone});
    loop_.run_once(false);
    client_.reset();
    loop_.run_once(false);
    if (streams_ != 0 || exchanges_ != 0) std::abort();
  }

 private:
  struct Exchange final : http::H2Exchange, http::RequestSink, io::Deferred, ListNode<> {
    Exchange(Session& s, http::H2ServerStream& stream) : session(s), downstream(&stream) {
      ++session.exchanges_;
    }
    ~Exchange() override { --session.exchanges_; }
    http::RequestSink& sink() override { return *this; }
    http::RequestHead& request_head() override { return head; }
    http::Headers& new_request_trailers() override {
      return *(trailers = arena.create<http::Headers>(arena));
    }
    void on_head_complete(size_t) override {}
    void on_exchange_done() override { session.end(*this); }
    void on_request_head(bool end) override {
      const bool is_expecting = std::exchange(head.expects_continue, false);
      if (!testing::reads_back(head)) std::abort();
      head.expects_continue = is_expecting;
      if (end || (downstream->id() & 2) == 0) reply(200);
    }
    void on_request_body(std::string_view, bool end) override {
      if ((downstream->id() & 4) != 0) downstream->pause_request();
      if (end && answered) return downstream->send_body({}, true);  // of a tunnel
      if (end) reply(200);
    }
    void on_request_trailers() override {
      if (!testing::is_trailer_section(*trailers)) std::abort();
      reply(200);
    }
    void on_request_failed(Failure failure) override {
      if (failure.kind == FailureKind::kDownstreamReset ||
          failure.kind == FailureKind::kDownstreamClosed)
        return;
      answered || failure.row().status == 0 ? downstream->reset(failure)
                                            : reply(failure.row().status);
    }
    void on_response_drained() override {}
    void reply(uint16_t status) {
      if (std::exchange(answered, true)) return;
      auto* h = arena.create<http::ResponseHead>(arena);
      if (head.asks_tunnel() && status == 200) return open_tunnel(*h);
      h->status = status;
      h->framing = http::Framing::kLength;
      h->content_length = 3;
      h->has_content_length = true;
      http::H2ServerStream* stream = downstream;
      const bool bodiless = head.method == http::Method::kHead;
      stream->send_head(*h, bodiless);
      if (!bodiless) stream->send_body("abc", true);
    }
    // It ends by itself, or when the client has ended its direction.
    void open_tunnel(http::ResponseHead& answer) {
      answer.status = head.upgrade.empty() ? 200 : 101;
      answer.upgrade = head.upgrade;
      downstream->send_head(answer, false);
      downstream->send_body("abc", false);
      if ((downstream->id() & 8) != 0) downstream->half_close();
    }
    Session& session;
    http::H2ServerStream* downstream;
    Arena arena;
    http::RequestHead head{arena};
    http::Headers* trailers = nullptr;
    bool answered = false;
  };

  uint32_t random() { return (seed_ = seed_ * 1103515245 + 12345) >> 16; }
  // Until nothing has happened for some turns.
  void run() {
    for (int quiet = 0; quiet < 4 && server_ != nullptr; ++quiet) {
      const uint64_t reads = server_end_->reads;
      loop_.run_once(false);
      if (server_ != nullptr && server_end_->reads != reads) quiet = 0;
      char room[4096];
      while (client_->read(room, sizeof room).bytes != 0) quiet = 0;
    }
  }
  void end(Exchange& exchange) {
    exchange.ListNode<>::unlink();
    loop_.delete_later(&exchange);
  }

  void on_server_connected() override {}
  http::H2Exchange& new_exchange(http::H2ServerStream& stream) override {
    auto* exchange = new Exchange(*this, stream);
    list_.push_back(*exchange);
    return *exchange;
  }
  void on_idle() override {}
  void on_stream_count(int change) override { streams_ += change; }
  void on_event(http::H2ServerConnection::Event) override {}
  void on_malformed(FailureKind) override {}
  void on_server_closed(Failure) override {
    while (Exchange* exchange = list_.front()) end(*exchange);
    loop_.delete_later(std::move(server_));
  }
  void on_traffic(uint64_t, uint64_t) override {}

  uint32_t seed_;
  io::Loop loop_;
  io::WriteBatch batch_{loop_};
  http::H1Limits limits_;
  http::H2Options options_;
  std::unique_ptr<testing::FakeTransport> client_;
  testing::FakeTransport* server_end_ = nullptr;
  std::unique_ptr<http::H2ServerConnection> server_;
  IntrusiveList<Exchange> list_;
  int streams_ = 0;
  int exchanges_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 8000) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const Session session(bytes, data[0]);
  if (Slab::live() != 0) std::abort();
  return 0;
}
