#pragma once
// One message through one codec's connection over a FakeTransport, and what it was taken for, as
// text: so that what the same message means in HTTP/1 and in HTTP/2 can be compared with ==.
//
//   Record a = RequestByHttp1(bytes, cuts).record();    Record b = RequestByHttp2(frames, cuts)...
//
// An accepted message can be written again, as HTTP/1: write().

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/http/h1_client.h"
#include "proxy/http/h1_server.h"
#include "proxy/http/h2_client.h"
#include "proxy/http/h2_preface.h"
#include "proxy/http/h2_server.h"
#include "tests/support/fake_transport.h"
#include "tests/support/h1_parse.h"
#include "tests/support/h2_frames.h"

namespace pillion::testing {

struct Record {
  bool accepted = false;  // all of it came, and none was refused
  std::string text;       // what it is, if accepted
  int messages = 0;       // that were begun
};

// Cookies in one field, as HTTP/2's may be cut.
inline std::string describe_joined(const http::Headers& headers) {
  std::string out;
  std::string cookies;
  headers.for_each([&](const http::Field& f) {
    if (f.id != http::HeaderId::kCookie) {
      out += str(f.name, ": ", f.value, "\n");
    } else if (!f.value.empty()) {
      cookies += str(cookies.empty() ? "cookie: " : "; ", f.value);
    }
  });
  return str(out, cookies, "\n");
}

// Turns a loop until nothing has been read for some turns.
class CutTransport {
 public:
  explicit CutTransport(uint32_t cuts) : cuts_(cuts) {
    auto [a, b] = FakeTransport::make_pair(loop);
    near = std::move(a);
    far = std::move(b);
  }
  io::Loop loop;
  io::WriteBatch batch{loop};
  std::unique_ptr<FakeTransport> near;
  std::unique_ptr<FakeTransport> far;
  FakeTransport* end = nullptr;  // that of the connection under test

  std::unique_ptr<io::Transport> give(std::unique_ptr<FakeTransport> transport) {
    end = transport.get();
    if (cuts_ != 0) {
      end->next_max_read = [this] { return 1 + ((cuts_ = cuts_ * 1103515245 + 12345) >> 16 & 63); };
    }
    return transport;
  }
  // What the connection has written.
  std::string run(FakeTransport& peer) {
    std::string out;
    for (int quiet = 0; quiet < 4; ++quiet) {
      const uint64_t reads = end == nullptr ? 0 : end->reads;
      loop.run_once(false);
      if (end != nullptr && end->reads != reads) quiet = 0;
      char room[4096];
      while (const size_t n = peer.read(room, sizeof room).bytes) {
        out.append(room, n);
        quiet = 0;
      }
    }
    return out;
  }

 private:
  uint32_t cuts_;
};

// ---- requests ----

struct RequestRecord final : http::RequestSink {
  void on_request_head(bool end) override { ended = end, has_head = true; }
  void on_request_body(std::string_view data, bool end) override {
    if (!data.empty()) pieces.emplace_back(data);
    ended = end;
  }
  void on_request_trailers() override { ended = true; }
  void on_request_failed(Failure) override { failed = true; }
  void on_response_drained() override {}

  [[nodiscard]] Record record(int messages) const {
    const bool connect = head.method == http::Method::kConnect;
    Record out{has_head && !failed && (ended || connect), {}, messages};
    if (!out.accepted) return out;
    const bool chunked = head.framing == http::Framing::kChunked && !connect;
    out.text = str(head.method_text, " ", head.path, " at ", head.authority,
                   chunked ? " chunked" : str(" ", connect ? 0 : head.content_length),
                   head.te_trailers ? " te" : "", head.expects_continue ? " expect" : "", "\n",
                   describe_joined(head.headers), "\n");
    for (const std::string& piece : pieces) out.text += piece;
    out.text += "\n";
    // Behind a length HTTP/1 has no place for them.
    if (trailers != nullptr && chunked) out.text += describe(*trailers);
    return out;
  }

  Arena arena;
  http::RequestHead head{arena};
  http::Headers* trailers = nullptr;
  std::vector<std::string> pieces;
  bool has_head = false;
  bool ended = false;
  bool failed = false;
};

class RequestByHttp1 : private http::H1ServerConnection::Owner {
 public:
  RequestByHttp1(std::string_view bytes, uint32_t cuts) : wire_(cuts) {
    connection_ = std::make_unique<http::H1ServerConnection>(wire_.loop, wire_.batch, limits_,
                                                             static_cast<Owner&>(*this));
    connection_->start(wire_.give(std::move(wire_.far)), {});
    wire_.end->inject(bytes);
    wire_.run(*wire_.near);
  }
  ~RequestByHttp1() {
    if (connection_ != nullptr) connection_->close({FailureKind::kNone});
    wire_.loop.run_once(false);
  }
  // Answers it first: what follows the message would be another one.
  Record record() {
    const Record before = requests_.empty() ? Record{} : requests_[0]->record(0);
    if (before.accepted && connection_ != nullptr) {
      http::ResponseHead ok(arena_);
      ok.status = 204;
      connection_->send_head(ok, true);
      wire_.run(*wire_.near);
    }
    return {before.accepted, before.text, static_cast<int>(requests_.size())};
  }
  // The bytes of a response to it.
  template <typename Response>
  std::string write(const Response& response) {
    if (connection_ == nullptr || requests_.empty()) return {};
    http::H1ServerConnection& to = *connection_;
    const bool only_head = response.pieces.empty() && response.trailers == nullptr;
    to.send_head(*response.head, only_head);
    if (only_head) return wire_.run(*wire_.near);
    for (const std::string& piece : response.pieces) to.send_body(piece, false);
    if (response.trailers != nullptr) {
      to.send_trailers(*response.trailers);
    } else {
      to.send_body({}, true);
    }
    wire_.batch.flush();
    return wire_.run(*wire_.near);
  }

 private:
  void on_server_connected() override {}
  http::RequestSink& new_stream() override {
    requests_.push_back(std::make_unique<RequestRecord>());
    return *requests_.back();
  }
  http::RequestHead& request_head() override { return requests_.back()->head; }
  http::Headers& new_request_trailers() override {
    RequestRecord& r = *requests_.back();
    return *(r.trailers = r.arena.create<http::Headers>(r.arena));
  }
  void on_exchange_done(bool) override {}
  void on_server_closed(Failure) override {
    wire_.end = nullptr;
    wire_.loop.delete_later(std::move(connection_));
  }
  void on_malformed(FailureKind) override {}
  void on_head_complete(size_t) override {}

  CutTransport wire_;
  http::H1Limits limits_;
  Arena arena_;
  std::vector<std::unique_ptr<RequestRecord>> requests_;
  std::unique_ptr<http::H1ServerConnection> connection_;
};

class RequestByHttp2 : private http::H2ServerConnection::Owner {
 public:
  RequestByHttp2(std::string_view frames, uint32_t cuts) : wire_(cuts) {
    connection_ = std::make_unique<http::H2ServerConnection>(wire_.loop, wire_.batch, limits_,
                                                             options_, static_cast<Owner&>(*this));
    connection_->start(wire_.give(std::move(wire_.far)), {}, true);
    wire_.end->inject(str(http::kH2Preface, frame(4, 0, 0, ""), frames));
    wire_.run(*wire_.near);
  }
  ~RequestByHttp2() {
    if (connection_ != nullptr) connection_->close({FailureKind::kNone});
    wire_.loop.run_once(false);
  }
  [[nodiscard]] Record record() const {
    return exchange_ == nullptr ? Record{} : exchange_->request.record(begun_);
  }
  // What a server of HTTP/1 is sent of it.
  std::string write();

 private:
  struct Exchange final : http::H2Exchange {
    http::RequestSink& sink() override { return request; }
    http::RequestHead& request_head() override { return request.head; }
    http::Headers& new_request_trailers() override {
      return *(request.trailers = request.arena.create<http::Headers>(request.arena));
    }
    void on_head_complete(size_t) override {}
    void on_exchange_done() override {}
    RequestRecord request;
  };
  void on_server_connected() override {}
  http::H2Exchange& new_exchange(http::H2ServerStream&) override {
    ++begun_;
    exchange_ = std::make_unique<Exchange>();
    return *exchange_;
  }
  void on_idle() override {}
  void on_stream_count(int) override {}
  void on_event(http::H2ServerConnection::Event) override {}
  void on_malformed(FailureKind) override {}
  void on_server_closed(Failure) override {
    wire_.end = nullptr;
    wire_.loop.delete_later(std::move(connection_));
  }
  void on_traffic(uint64_t, uint64_t) override {}

  CutTransport wire_;
  http::H1Limits limits_;
  http::H2Options options_;
  std::unique_ptr<Exchange> exchange_;  // of the one stream that `frames` has
  int begun_ = 0;
  std::unique_ptr<http::H2ServerConnection> connection_;
};

// ---- responses ----

struct ResponseRecord final : http::ResponseSink {
  http::ResponseHead& new_response_head() override {
    return *(head = arena.create<http::ResponseHead>(arena));
  }
  http::Headers& new_response_trailers() override {
    return *(trailers = arena.create<http::Headers>(arena));
  }
  void on_informational(http::ResponseHead&) override { head = nullptr; }
  void on_response_head(http::ResponseHead&, bool end) override { ended = end, has_head = true; }
  void on_response_body(std::string_view data, bool end) override {
    if (!data.empty()) pieces.emplace_back(data);
    ended = end;
  }
  void on_response_trailers(http::Headers&) override { ended = true; }
  void on_upstream_reset(Failure) override { failed = true; }
  void on_request_drained() override {}
  size_t read_limit() const noexcept override { return 1 << 20; }

  [[nodiscard]] Record record() const {
    Record out{has_head && ended && !failed, {}, 1};
    if (!out.accepted) return out;
    const bool says_length = head->has_content_length && head->content_length != 0;
    out.text = str(head->status, says_length ? str(" ", head->content_length) : "", "\n",
                   describe(head->headers), "\n");
    for (const std::string& piece : pieces) out.text += piece;
    out.text += "\n";
    const bool chunked = head->framing == http::Framing::kChunked;
    if (trailers != nullptr && chunked) out.text += describe(*trailers);
    return out;
  }

  Arena arena;
  http::ResponseHead* head = nullptr;
  http::Headers* trailers = nullptr;
  std::vector<std::string> pieces;
  bool has_head = false;
  bool ended = false;
  bool failed = false;
};

// `Connection`: H1ClientConnection or H2ClientConnection.
template <typename Connection>
class ServerExchange : private http::ClientConnection::Owner {
 public:
  explicit ServerExchange(uint32_t cuts) : wire_(cuts) {
    if constexpr (std::is_same_v<Connection, http::H1ClientConnection>) {
      connection_ = std::make_unique<Connection>(wire_.loop, wire_.batch, limits_,
                                                 static_cast<Owner&>(*this));
    } else {
      connection_ = std::make_unique<Connection>(wire_.loop, wire_.batch, limits_, options_,
                                                 static_cast<Owner&>(*this));
    }
    connection_->start(wire_.give(std::move(wire_.near)));
    wire_.run(*wire_.far);
    stream_ = &connection_->begin(response_);
  }
  ~ServerExchange() {
    if (connection_ != nullptr) connection_->close({FailureKind::kLocalReset});
    wire_.loop.run_once(false);
  }
  // What goes out for a request.
  std::string send(const http::RequestHead& head, const std::vector<std::string>& pieces,
                   const http::Headers* trailers) {
    const bool end = pieces.empty() && trailers == nullptr &&
                     head.framing != http::Framing::kChunked &&
                     head.method != http::Method::kConnect;
    stream_->send_head(head, end);
    if (head.method != http::Method::kConnect) {
      for (const std::string& piece : pieces) stream_->send_body(piece, false);
      if (trailers != nullptr) {
        stream_->send_trailers(*trailers);
      } else if (!end) {
        stream_->send_body({}, true);
      }
    }
    wire_.batch.flush();
    return wire_.run(*wire_.far);
  }
  std::string ask(std::string_view method) {
    http::RequestHead& head = *response_.arena.template create<http::RequestHead>(response_.arena);
    head.method_text = method;
    head.method = http::find_method(method);
    head.scheme = "http";
    head.path = "/";
    head.authority = "a";
    return send(head, {}, nullptr);
  }
  // The server's bytes, and then its end.
  void receive(std::string_view bytes) {
    if (wire_.end != nullptr) wire_.end->inject(bytes);
    wire_.run(*wire_.far);
    if (wire_.end != nullptr) wire_.end->inject_fin();
    wire_.run(*wire_.far);
  }
  [[nodiscard]] const ResponseRecord& response() const { return response_; }
  // Bytes came behind the response.
  [[nodiscard]] bool has_leftover() const { return has_leftover_; }

 private:
  void on_client_connected(http::ClientConnection&) override {}
  void on_client_idle(http::ClientConnection&) override {}
  void on_client_closed(http::ClientConnection&, Failure) override {
    wire_.end = nullptr;
    wire_.loop.delete_later(std::move(connection_));
  }
  void on_client_event(http::ClientConnection&, http::ClientConnection::Event event) override {
    has_leftover_ = has_leftover_ || event == http::ClientConnection::Event::kUnsolicited;
  }
  void on_client_bytes(uint64_t, uint64_t) override {}

  CutTransport wire_;
  http::H1Limits limits_;
  http::H2Options options_;
  ResponseRecord response_;
  http::UpstreamStream* stream_ = nullptr;
  bool has_leftover_ = false;
  std::unique_ptr<Connection> connection_;
};

inline std::string RequestByHttp2::write() {
  const RequestRecord& request = exchange_->request;
  ServerExchange<http::H1ClientConnection> to(0);
  return to.send(request.head, request.pieces, request.trailers);
}

}  // namespace pillion::testing
