// Any bytes from a client on a whole connection, cut as the first bytes of the input say: requests
// are answered at their end, at their head, or later, as their method says.  The requests seen and
// the responses sent must not depend on the cuts, and nothing may be left behind.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "proxy/http/h1_server.h"
#include "tests/support/fake_transport.h"
#include "tests/support/h1_parse.h"

using namespace pillion;

namespace {

class Session final : public http::H1ServerConnection::Owner {
 public:
  Session(std::string_view bytes, uint32_t seed) : seed_(seed) {
    auto [a, b] = testing::FakeTransport::make_pair(loop_);
    client_ = std::move(a);
    server_end_ = b.get();
    if (seed != 0) server_end_->next_max_read = [this] { return 1 + (random() & 63); };
    server_ = std::make_unique<http::H1ServerConnection>(loop_, batch_, limits_, *this);
    server_->start(std::move(b), {});
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
  }
  std::string seen;      // requests and their bodies
  std::string received;  // by the client

 private:
  struct Stream final : http::RequestSink, io::Deferred {
    explicit Stream(Session& s) : session(s), head(arena) {}
    void on_request_head(bool end) override {
      session.seen += testing::describe(head);
      if (end) session.reply(200, head.path);
    }
    void on_request_body(std::string_view data, bool end) override {
      session.seen += data;
      if (end) session.reply(200, "done");
    }
    void on_request_trailers() override {
      session.seen += testing::describe(trailers);
      session.reply(200, "trailers");
    }
    void on_request_failed(Failure failure) override {
      session.seen += str("failed ", failure.row().name, "\n");
      if (failure.row().status != 0) session.reply(failure.row().status, failure.row().body);
    }
    void on_response_drained() override {}
    Session& session;
    Arena arena;
    http::RequestHead head;
    http::Headers trailers{arena};
  };

  uint32_t random() { return (seed_ = seed_ * 1103515245 + 12345) >> 16; }
  // Until nothing has happened for some turns.
  void run() {
    for (int quiet = 0; quiet < 4 && server_ != nullptr; ++quiet) {
      const uint64_t reads = server_end_->reads;
      loop_.run_once(false);
      if (server_ != nullptr && server_end_->reads != reads) quiet = 0;
      char room[4096];
      while (const size_t n = client_->read(room, sizeof room).bytes) {
        received.append(room, n);
        quiet = 0;
      }
    }
  }
  void reply(uint16_t status, std::string_view text) {
    auto* h = stream_->arena.create<http::ResponseHead>(stream_->arena);
    h->status = status;
    h->framing = http::Framing::kLength;
    h->content_length = text.size();
    h->has_content_length = true;
    const bool bodiless = stream_->head.method == http::Method::kHead || text.empty();
    server_->send_head(*h, bodiless);
    if (!bodiless) server_->send_body(text, true);
  }
  void end_stream() {
    if (stream_ != nullptr) loop_.delete_later(std::exchange(stream_, nullptr));
  }

  void on_server_connected() override {}
  http::RequestSink& new_stream() override { return *(stream_ = new Stream(*this)); }
  http::RequestHead& request_head() override { return stream_->head; }
  http::Headers& new_request_trailers() override { return stream_->trailers; }
  void on_exchange_done(bool) override { end_stream(); }
  void on_server_closed(Failure) override {
    end_stream();
    loop_.delete_later(std::move(server_));
  }
  void on_malformed(FailureKind) override {}
  void on_head_complete(size_t) override {}

  uint32_t seed_;
  io::Loop loop_;
  io::WriteBatch batch_{loop_};
  http::H1Limits limits_;
  std::unique_ptr<testing::FakeTransport> client_;
  testing::FakeTransport* server_end_ = nullptr;
  std::unique_ptr<http::H1ServerConnection> server_;
  Stream* stream_ = nullptr;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 4000) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const Session whole(bytes, 0);
  const Session cut(bytes, data[0] + 1u);
  // A body is handed out up to where it turned out to be malformed, so only well-formed ones
  // compare.
  if (whole.received != cut.received) std::abort();
  if (whole.seen.find("failed kBadChunk") == std::string::npos &&
      whole.seen.find("failed kChunkOverhead") == std::string::npos && whole.seen != cut.seen) {
    std::abort();
  }
  if (Slab::live() != 0) std::abort();
  return 0;
}
