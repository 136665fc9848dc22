#pragma once
// The two ends of a tunnel through a worker, whatever HTTP each speaks: what a test says and hears
// is the same.

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/base/ascii.h"
#include "proxy/io/socket.h"
#include "proxy/tls/websocket_key.h"
#include "tests/component/worker_fixture.h"
#include "tests/support/h2_peer.h"
#include "tests/support/h2_test_client.h"

namespace pillion::testing {

// Of RFC 6455, with its answer.
inline constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";
inline constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

// Value of a field of a head as text ("name: value\n" or with CR LF), or "".
inline std::string field_of(std::string_view head, std::string_view name) {
  std::string text(head);
  for (char& c : text) c = to_lower(c);
  const std::string wanted = str("\n", name, ": ");
  const size_t at = text.find(wanted);
  if (at == std::string::npos) return {};
  const size_t begin = at + wanted.size();
  return std::string(head.substr(begin, head.find_first_of("\r\n", begin) - begin));
}

class TunnelSide {
 public:
  virtual ~TunnelSide() = default;
  virtual void send(std::string_view bytes) = 0;
  // Our direction ends in order; the tunnel is cut.
  virtual void end() = 0;
  virtual void abort() = 0;
  // What has come behind the head, as of now, and how that direction stands.
  virtual std::string_view received() = 0;
  virtual bool is_ended() = 0;
  virtual bool is_aborted() = 0;

  // For what is too much to be sent at once: how much is taken, and how much of that is still held
  // because there is no room for it.
  virtual size_t offer(std::string_view bytes) = 0;
  virtual size_t held() = 0;
  // From now on what comes is read, or its window given back, by take() alone.
  virtual void stop_reading() = 0;
  virtual std::string take() = 0;
};

// A socket: a client or a server of HTTP/1 whose head was taken, or a server of raw bytes.
class SocketSide final : public TunnelSide {
 public:
  explicit SocketSide(Peer peer) : peer_(std::move(peer)) {}
  void send(std::string_view bytes) override { peer_.send(bytes); }
  void end() override { peer_.end(); }
  void abort() override { peer_.abort(); }
  std::string_view received() override { return peer_.received(); }
  bool is_ended() override { return peer_.is_over() && !peer_.was_reset(); }
  bool is_aborted() override { return peer_.is_over() && peer_.was_reset(); }
  size_t offer(std::string_view bytes) override {
    const ssize_t n = peer_.try_send(bytes.substr(0, 64 * 1024));
    return n < 0 ? 0 : static_cast<size_t>(n);
  }
  size_t held() override { return 0; }
  void stop_reading() override { peer_.limit_receive_buffer(64 * 1024); }
  std::string take() override {
    std::string bytes = peer_.received();
    bytes.resize(peer_.discard());
    return bytes;
  }
  Peer& peer() { return peer_; }

 private:
  Peer peer_;
};

// A client of HTTP/2 with one stream.
class H2ClientSide final : public TunnelSide {
 public:
  using Exchange = H2TestClient::Exchange;
  H2ClientSide(io::Loop& loop, io::WriteBatch& batch, Fd fd) {
    ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
    client = std::make_unique<H2TestClient>(batch, io::Socket::adopt(loop, fd.release()),
                                            http::H2Options{});
  }
  void send(std::string_view bytes) override { client->send_body(*exchange, bytes, false); }
  void end() override { client->send_body(*exchange, {}, true); }
  void abort() override {
    client->session.reset(*exchange, http::H2Error::kCancel);
    client->flush();
  }
  std::string_view received() override { return exchange->body; }
  bool is_ended() override { return exchange->ended; }
  bool is_aborted() override { return exchange->closed && exchange->error != http::H2Error::kNone; }
  size_t offer(std::string_view bytes) override { return send(bytes), bytes.size(); }
  size_t held() override { return exchange->held(); }
  void stop_reading() override { client->returns_window = false; }
  std::string take() override {
    std::string bytes = std::exchange(exchange->body, {});
    if (!exchange->closed) client->session.consume(*exchange, bytes.size());
    client->flush();
    return bytes;
  }

  std::unique_ptr<H2TestClient> client;
  Exchange* exchange = nullptr;
};

// A server of HTTP/2, and the first stream on it.
class H2ServerSide final : public TunnelSide {
 public:
  H2ServerSide(io::Loop& loop, io::WriteBatch& batch, Fd fd, const http::H2Options& options) {
    ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
    server = std::make_unique<H2Peer>(loop, batch, io::Socket::adopt(loop, fd.release()), options);
  }
  void send(std::string_view bytes) override { server->data(0, bytes, false); }
  void end() override { server->data(0, {}, true); }
  void abort() override { server->reset(0, http::H2Error::kConnect); }
  std::string_view received() override { return server->stream(0).body; }
  bool is_ended() override { return server->stream(0).ended; }
  bool is_aborted() override {
    return server->stream(0).closed && server->stream(0).error != http::H2Error::kNone;
  }
  size_t offer(std::string_view bytes) override { return send(bytes), bytes.size(); }
  size_t held() override { return server->stream(0).held(); }
  void stop_reading() override { server->holds_window = true; }
  std::string take() override {
    H2Peer::Stream& stream = server->stream(0);
    if (!stream.closed) server->session.consume(stream, std::exchange(stream.unconsumed, 0));
    server->flush();
    return std::exchange(stream.body, {});
  }

  std::unique_ptr<H2Peer> server;
};

}  // namespace pillion::testing
