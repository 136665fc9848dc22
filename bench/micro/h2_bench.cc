// What HTTP/2 costs beside its system calls: a small request and its response through a session on
// either side, and the allocator that nghttp2 is given.

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/http/h2_codec.h"
#include "proxy/io/loop.h"
#include "proxy/io/transport.h"
#include "proxy/io/writer.h"

namespace pillion::http {
namespace {

// Takes all that is written.
class Wire final : public io::Transport {
 public:
  void start(io::TransportObserver&) override {}
  io::IoResult read(char*, size_t) override { return {0, io::IoStatus::kAgain}; }
  io::IoResult write(const iovec* pieces, int count) override {
    size_t size = 0;
    for (int i = 0; i < count; ++i) {
      bytes.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
      size += pieces[i].iov_len;
    }
    return {size, io::IoStatus::kOk};
  }
  void shutdown_write() override {}
  void close(CloseMode) override {}
  void pause(io::PauseReason) override {}
  void resume(io::PauseReason) override {}
  void read_again() override {}
  [[nodiscard]] Failure failure() const noexcept override { return {}; }
  std::string bytes;
};

// A session over a Wire, with one stream at a time.
class Side final : private H2Observer, private io::WriterObserver {
 public:
  Side(io::WriteBatch& batch, H2Session::Role role)
      : batch_(batch), writer_(batch, *this), session(role, {}, *this, writer_) {
    writer_.set_transport(wire);
  }
  ~Side() { session.stop(); }
  // What the session has to say.
  void flush() {
    session.send();
    batch_.flush();
  }
  void hear(std::string& bytes) {
    for (std::string_view left = bytes; !left.empty();) left.remove_prefix(session.receive(left));
    bytes.clear();
  }
  void request() {
    static constexpr Field kFields[] = {{":method", "GET", HeaderId::kUnknown},
                                        {":scheme", "http", HeaderId::kUnknown},
                                        {":path", "/b/1024", HeaderId::kUnknown},
                                        {":authority", "users.shop", HeaderId::kUnknown}};
    stream = std::make_unique<Stream>();
    session.send_head(*stream, kFields, none_, true);
  }
  void respond(std::string_view body) {
    static constexpr Field kFields[] = {{":status", "200", HeaderId::kUnknown},
                                        {"content-type", "text/plain", HeaderId::kUnknown},
                                        {"content-length", "1024", HeaderId::kUnknown}};
    session.send_head(*stream, kFields, none_, false);
    session.send_data(*stream, body, true);
  }

 private:
  struct Stream final : H2Stream {};
  H2Stream* on_stream_begun(int32_t) override {
    stream = std::make_unique<Stream>();
    return stream.get();
  }
  void on_head_begun(H2Stream&) override {}
  void on_field(H2Stream&, std::string_view name, std::string_view value) override {
    benchmark::DoNotOptimize(name.data());
    benchmark::DoNotOptimize(value.data());
  }
  void on_head_ended(H2Stream&, bool) override {}
  void on_data(H2Stream& from, std::string_view data, bool) override {
    session.consume(from, data.size());
  }
  void on_stream_drained(H2Stream&) override {}
  void on_stream_closed(H2Stream&, H2Error) override { closed = true; }
  void on_drained() override {}
  void on_write_failed() override {}

  io::WriteBatch& batch_;
  Arena arena_;
  Headers none_{arena_};

 public:
  Wire wire;

 private:
  io::Writer writer_;

 public:
  std::unique_ptr<Stream> stream;
  bool closed = false;
  H2Session session;
};

// Head and answer of 1 KB: what a client's and a server's session cost together.
void RequestThroughBothSessions(benchmark::State& state) {
  io::Loop loop;
  io::WriteBatch batch(loop);
  Side client(batch, H2Session::Role::kClient), server(batch, H2Session::Role::kServer);
  const std::string body(1024, 'x');
  const auto talk = [&] {
    client.flush();
    server.hear(client.wire.bytes);
    server.flush();
    client.hear(server.wire.bytes);
  };
  talk();
  talk();
  for (auto _ : state) {
    client.closed = false;
    client.request();
    client.flush();
    server.hear(client.wire.bytes);
    server.respond(body);
    server.flush();
    client.hear(server.wire.bytes);
    if (!client.closed) return state.SkipWithError("no whole answer");
  }
}
BENCHMARK(RequestThroughBothSessions);

// As nghttp2 asks for a request: a stream, items to send, fields.
constexpr size_t kSizes[] = {224, 152, 152, 400, 80, 48, 64};

void AllocateByH2Memory(benchmark::State& state) {
  H2Memory memory;
  void* blocks[std::size(kSizes)];
  for (auto _ : state) {
    for (size_t i = 0; i < std::size(kSizes); ++i)
      blocks[i] = H2Memory::allocate(kSizes[i], &memory);
    benchmark::ClobberMemory();
    for (void* block : blocks) H2Memory::release(block, &memory);
  }
}
BENCHMARK(AllocateByH2Memory);

void AllocateByMalloc(benchmark::State& state) {
  void* blocks[std::size(kSizes)];
  for (auto _ : state) {
    for (size_t i = 0; i < std::size(kSizes); ++i) blocks[i] = std::malloc(kSizes[i]);
    benchmark::ClobberMemory();
    for (void* block : blocks) std::free(block);
  }
}
BENCHMARK(AllocateByMalloc);

void OpenASession(benchmark::State& state) {
  io::Loop loop;
  io::WriteBatch batch(loop);
  for (auto _ : state) {
    Side side(batch, H2Session::Role::kServer);
    side.flush();
  }
}
BENCHMARK(OpenASession);

}  // namespace
}  // namespace pillion::http
