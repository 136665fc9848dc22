#pragma once
// TlsPeer: one end of a TLS connection in a test; records all that it is told, sends what it is
// given. TlsPair: a client and a server end over a FakeTransport pair.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/io/loop.h"
#include "proxy/tls/tls_transport.h"
#include "tests/support/fake_transport.h"
#include "tests/support/run_until.h"

namespace pillion::testing {

class TlsPeer final : private io::TransportObserver {
 public:
  TlsPeer(io::Loop& loop, std::unique_ptr<io::Transport> lower,
          std::shared_ptr<const tls::Context> context,
          const tls::TlsTransport::Options& options = {})
      : loop_(loop),
        transport(std::make_unique<tls::TlsTransport>(loop, std::move(lower), std::move(context),
                                                      options)) {}
  ~TlsPeer() { destroy(); }
  TlsPeer(const TlsPeer&) = delete;
  TlsPeer& operator=(const TlsPeer&) = delete;

  void start() { transport->start(*this); }
  // Sends as much as is taken; the rest follows on on_writable.
  void send(std::string_view bytes) {
    outgoing_.append(bytes);
    flush();
  }
  // As owners do: callbacks stop now, the memory goes at the end of the turn.
  void destroy(io::Transport::CloseMode mode = io::Transport::CloseMode::kOrderly) {
    if (transport == nullptr) return;
    transport->close(mode);
    loop_.delete_later(std::move(transport));
  }
  [[nodiscard]] bool is_over() const { return closed != 0 || eof || broken; }
  [[nodiscard]] size_t unsent() const { return outgoing_.size(); }

 private:
  io::Loop& loop_;
  std::string outgoing_;

 public:
  size_t read_size = 64 * 1024;
  int reads_left = -1;  // then the rest stays unread; -1: no limit
  std::string received;
  int connected = 0;
  int closed = 0;
  int writables = 0;
  bool eof = false;
  bool broken = false;
  Failure failure;
  std::string reason;
  bool in_callback = false;  // callbacks never nest
  std::function<void()> when_connected;
  std::function<void()> when_readable;
  std::function<void()> when_writable;
  std::function<void()> when_closed;
  std::unique_ptr<tls::TlsTransport> transport;

 private:
  struct Guard {
    explicit Guard(bool& flag) : flag_(flag) {
      ASSERT(!flag_);
      flag_ = true;
    }
    ~Guard() { flag_ = false; }
    bool& flag_;
  };
  void on_connected() override {
    const Guard guard(in_callback);
    ++connected;
    if (when_connected) when_connected();
  }
  // One read per notice, as the codecs do: the transport must tell of the rest.
  void on_readable() override {
    const Guard guard(in_callback);
    if (when_readable) when_readable();
    if (transport == nullptr || eof || broken || reads_left == 0) return;
    if (reads_left > 0) --reads_left;
    const std::unique_ptr<char[]> room(new char[read_size]);
    const io::IoResult r = transport->read(room.get(), read_size);
    received.append(room.get(), r.bytes);
    eof = r.status == io::IoStatus::kEof;
    if (r.status == io::IoStatus::kError) note(transport->failure(), broken);
  }
  void on_writable() override {
    const Guard guard(in_callback);
    ++writables;
    if (when_writable) when_writable();
    if (transport != nullptr) flush();
  }
  void on_closed(Failure why) override {
    const Guard guard(in_callback);
    ++closed;
    note(why, broken);
    if (when_closed) when_closed();
  }
  void note(Failure why, bool& flag) {
    flag = true;
    failure = why;
    reason = transport->failure_reason();
  }
  void flush() {
    while (!outgoing_.empty()) {
      const iovec piece{outgoing_.data(), outgoing_.size()};
      const io::IoResult r = transport->write(&piece, 1);
      outgoing_.erase(0, r.bytes);
      if (r.status != io::IoStatus::kOk || r.bytes == 0) return;
    }
  }
};

// `client_end` and `server_end` are the lower transports, owned by the TlsTransports.
struct TlsPair {
  TlsPair(io::Loop& loop, std::shared_ptr<const tls::Context> client_context,
          std::shared_ptr<const tls::Context> server_context,
          const tls::TlsTransport::Options& client_options = {},
          const tls::TlsTransport::Options& server_options = {})
      : TlsPair(loop, FakeTransport::make_pair(loop), std::move(client_context),
                std::move(server_context), client_options, server_options) {}

  void start() {
    server.start();
    client.start();
  }
  // Until both are connected or one is over.
  bool shake_hands(io::Loop& loop) {
    start();
    return run_until(loop, [this] {
      return client.is_over() || server.is_over() ||
             (client.connected != 0 && server.connected != 0);
    });
  }

  FakeTransport* client_end;
  FakeTransport* server_end;
  TlsPeer client;
  TlsPeer server;

 private:
  TlsPair(io::Loop& loop, FakeTransport::Pair ends,
          std::shared_ptr<const tls::Context> client_context,
          std::shared_ptr<const tls::Context> server_context,
          const tls::TlsTransport::Options& client_options,
          const tls::TlsTransport::Options& server_options)
      : client_end(ends.first.get()),
        server_end(ends.second.get()),
        client(loop, std::move(ends.first), std::move(client_context), client_options),
        server(loop, std::move(ends.second), std::move(server_context), server_options) {}
};

}  // namespace pillion::testing
