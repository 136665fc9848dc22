#pragma once
// A client of HTTP/2 for tests: an H2Session of the client's role over a Transport.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/http/h2_codec.h"
#include "proxy/io/transport.h"
#include "proxy/io/writer.h"

namespace pillion::testing {

class H2TestClient final : private io::TransportObserver,
                           private io::WriterObserver,
                           private http::H2Observer {
 public:
  struct Exchange final : http::H2Stream {
    std::string head;  // ":status: 200\ncontent-length: 2\n", interim heads first
    std::string body;
    std::string trailers;
    std::string sensitive;  // names of fields that may never be indexed, "x;"
    bool ended = false;
    bool closed = false;
    bool in_trailers = false;
    bool holds_window = false;  // gives none back by itself
    http::H2Error error = http::H2Error::kNone;
  };

  H2TestClient(io::WriteBatch& batch, std::unique_ptr<io::Transport> transport,
               const http::H2Options& options)
      : batch_(batch),
        transport_(std::move(transport)),
        writer_(batch, *this),
        session(http::H2Session::Role::kClient, options, *this, writer_) {
    writer_.set_transport(*transport_);
    transport_->start(*this);
    transport_->read_again();
    flush();
  }
  ~H2TestClient() {
    session.stop();
    writer_.detach();
    transport_->close();
    batch_.loop().delete_later(std::move(transport_));
  }

  // Fields as "name: value" pairs behind the pseudo fields.
  Exchange& request(
      std::string_view method, std::string_view path, bool end = true,
      std::initializer_list<std::pair<std::string_view, std::string_view>> more = {}) {
    return begin({{":method", method}, {":scheme", "http"}, {":path", path}, {":authority", "h"}},
                 end, more);
  }
  // CONNECT to h:1, or with `protocol` the upgrade to it at /chat (RFC 8441).
  Exchange& connect(
      std::string_view protocol = {},
      std::initializer_list<std::pair<std::string_view, std::string_view>> more = {}) {
    if (protocol.empty())
      return begin({{":method", "CONNECT"}, {":authority", "h:1"}}, false, more);
    return begin({{":method", "CONNECT"},
                  {":protocol", protocol},
                  {":scheme", "http"},
                  {":path", "/chat"},
                  {":authority", "h"}},
                 false, more);
  }
  void send_body(Exchange& e, std::string_view data, bool end) {
    session.send_data(e, data, end);
    flush();
  }
  void send_trailers(Exchange& e, std::string_view name, std::string_view value) {
    Arena arena;
    http::Headers fields(arena);
    fields.add(name, value);
    session.send_trailers(e, fields);
    flush();
  }
  void flush() {
    session.send();
    batch_.flush();
  }

  bool returns_window = true;
  bool saw_goaway = false;
  bool saw_end = false;
  int32_t goaway_last = -1;

 private:
  using FieldList = std::initializer_list<std::pair<std::string_view, std::string_view>>;
  Exchange& begin(FieldList pseudo, bool end, FieldList more) {
    std::vector<http::Field> first;
    for (const auto& [name, value] : pseudo)
      first.push_back({name, value, http::HeaderId::kUnknown});
    Arena arena;
    http::Headers fields(arena);
    for (const auto& [name, value] : more) fields.add(name, value);
    exchanges_.push_back(std::make_unique<Exchange>());
    session.send_head(*exchanges_.back(), first, fields, end);
    flush();
    return *exchanges_.back();
  }
  void on_readable() override {
    char room[16384];
    while (true) {
      const io::IoResult r = transport_->read(room, sizeof room);
      if (r.status == io::IoStatus::kEof) saw_end = true;
      if (r.bytes == 0) break;
      for (std::string_view left(room, r.bytes); !left.empty();)
        left.remove_prefix(session.receive(left));
    }
    flush();
  }
  void on_writable() override { writer_.on_writable(); }
  void on_closed(Failure) override { saw_end = true; }
  void on_drained() override { flush(); }
  void on_write_failed() override {}
  void on_head_begun(http::H2Stream& s) override {
    auto& e = static_cast<Exchange&>(s);
    e.in_trailers = !e.body.empty() || e.head.find(":status: 2") != std::string::npos;
  }
  void on_field(http::H2Stream& s, std::string_view name, std::string_view value) override {
    auto& e = static_cast<Exchange&>(s);
    (e.in_trailers ? e.trailers : e.head) += str(name, ": ", value, "\n");
    if (session.is_field_sensitive()) e.sensitive += str(name, ";");
  }
  void on_head_ended(http::H2Stream& s, bool end) override {
    static_cast<Exchange&>(s).ended |= end;
  }
  void on_data(http::H2Stream& s, std::string_view data, bool end) override {
    auto& e = static_cast<Exchange&>(s);
    e.body += data;
    e.ended |= end;
    if (returns_window && !e.holds_window) session.consume(s, data.size());
  }
  void on_stream_drained(http::H2Stream&) override {}
  void on_stream_closed(http::H2Stream& s, http::H2Error error) override {
    auto& e = static_cast<Exchange&>(s);
    e.closed = true;
    e.error = error;
  }
  void on_goaway(int32_t last, http::H2Error) override {
    saw_goaway = true;
    goaway_last = last;
  }

  io::WriteBatch& batch_;
  std::unique_ptr<io::Transport> transport_;
  io::Writer writer_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;

 public:
  http::H2Session session;
};

}  // namespace pillion::testing
