#pragma once
// H2Peer: one end of an HTTP/2 connection in a test, over a Transport: a second H2Session that does
// as the test says and remembers what it was sent.  As a server here, with the streams in the order
// of their beginning.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/http/h2_codec.h"
#include "proxy/io/loop.h"
#include "proxy/io/transport.h"
#include "proxy/io/writer.h"

namespace pillion::testing {

class H2Peer final : private io::TransportObserver,
                     private io::WriterObserver,
                     private http::H2Observer {
 public:
  using FieldList = std::vector<std::pair<std::string, std::string>>;

  struct Stream final : http::H2Stream {
    std::string fields;     // "name: value\n" each
    std::string trailers;   // the same
    std::string sensitive;  // names of fields that may never be indexed, "x;"
    std::string body;
    bool has_head = false;
    bool ended = false;  // END_STREAM came
    bool closed = false;
    http::H2Error error{};  // of the end
    size_t unconsumed = 0;
  };

  H2Peer(io::Loop& loop, io::WriteBatch& batch, std::unique_ptr<io::Transport> transport,
         const http::H2Options& options = {})
      : loop_(loop),
        batch_(batch),
        transport_(std::move(transport)),
        writer_(batch, *this),
        session(http::H2Session::Role::kServer, options, *this, writer_) {
    writer_.set_transport(*transport_);
    transport_->start(*this);
    transport_->read_again();
    flush();
  }
  ~H2Peer() { close(); }

  // The head of a response; pseudo fields as the test wants them.
  void head(size_t index, const FieldList& fields, bool end = false) {
    Arena arena;
    http::Headers none(arena);
    std::vector<http::Field> list = to_fields(fields);
    session.send_head(stream(index), list, none, end);
    flush();
  }
  void informational(size_t index, const FieldList& fields) {
    Arena arena;
    http::Headers none(arena);
    session.send_informational(stream(index), to_fields(fields), none);
    flush();
  }
  void data(size_t index, std::string_view bytes, bool end) {
    session.send_data(stream(index), bytes, end);
    flush();
  }
  void trailers(size_t index, const FieldList& fields) {
    Arena arena;
    http::Headers headers(arena);
    for (const auto& [name, value] : fields) headers.add({name, value});
    session.send_trailers(stream(index), headers);
    flush();
  }
  void respond(size_t index, std::string_view body = {}) {
    head(index, {{":status", "200"}}, body.empty());
    if (!body.empty()) data(index, body, true);
  }
  void reset(size_t index, http::H2Error error) {
    session.reset(stream(index), error);
    flush();
  }
  // Bytes past the session: frames that it would not make.
  void raw(std::string_view bytes) {
    writer_.append_copy(bytes);
    batch_.flush();
  }
  // SETTINGS that the session knows nothing of, and so must not see acknowledged.
  void set_max_streams(char n) {
    drops_acks_ = true;
    raw(std::string("\0\0\6\4\0\0\0\0\0\0\3\0\0\0", 14) + n);
  }
  void flush() {
    session.send();
    batch_.flush();
  }
  void close() {
    if (transport_ == nullptr) return;
    session.stop();
    writer_.detach();
    transport_->close();
    loop_.delete_later(std::move(transport_));
  }
  Stream& stream(size_t index) { return *streams.at(index); }

  std::vector<std::unique_ptr<Stream>> streams;
  bool holds_window = false;  // does not give windows back by itself
  bool got_goaway = false;
  http::H2Error goaway_error{};
  bool eof = false;

 private:
  static std::vector<http::Field> to_fields(const FieldList& fields) {
    std::vector<http::Field> list;
    // Names of known ids are sent as they are, in capitals too.
    for (const auto& [name, value] : fields) list.push_back({name, value, http::HeaderId::kVia});
    return list;
  }

  void on_readable() override {
    std::unique_ptr<char[]> room(new char[kRoom]);
    const io::IoResult r = transport_->read(room.get(), kRoom);
    eof = eof || r.status == io::IoStatus::kEof;
    std::string text(room.get(), r.bytes);
    if (drops_acks_) {
      const std::string ack("\0\0\0\4\1\0\0\0\0", 9);
      for (size_t at; (at = text.find(ack)) != text.npos;) text.erase(at, ack.size());
    }
    std::string_view bytes = text;
    while (!bytes.empty()) bytes.remove_prefix(session.receive(bytes));
    flush();
  }
  void on_writable() override { writer_.on_writable(); }
  void on_closed(Failure) override { eof = true; }
  void on_drained() override { flush(); }
  void on_write_failed() override {}

  http::H2Stream* on_stream_begun(int32_t) override {
    streams.push_back(std::make_unique<Stream>());
    return streams.back().get();
  }
  void on_head_begun(http::H2Stream&) override {}
  void on_field(http::H2Stream& stream, std::string_view name, std::string_view value) override {
    auto& s = static_cast<Stream&>(stream);
    std::string& to = s.has_head ? s.trailers : s.fields;
    to.append(name).append(": ").append(value).append("\n");
    if (session.is_field_sensitive()) s.sensitive.append(name).append(";");
  }
  void on_head_ended(http::H2Stream& stream, bool end) override {
    auto& s = static_cast<Stream&>(stream);
    s.has_head = true;
    s.ended = s.ended || end;
  }
  void on_data(http::H2Stream& stream, std::string_view data, bool end) override {
    auto& s = static_cast<Stream&>(stream);
    s.body.append(data);
    s.ended = s.ended || end;
    if (holds_window) {
      s.unconsumed += data.size();
    } else {
      session.consume(stream, data.size());
    }
  }
  void on_stream_drained(http::H2Stream&) override {}
  void on_stream_closed(http::H2Stream& stream, http::H2Error error) override {
    auto& s = static_cast<Stream&>(stream);
    s.closed = true;
    s.error = error;
  }
  void on_goaway(int32_t, http::H2Error error) override {
    got_goaway = true;
    goaway_error = error;
  }

  static constexpr size_t kRoom = 64 * 1024;
  bool drops_acks_ = false;
  io::Loop& loop_;
  io::WriteBatch& batch_;
  std::unique_ptr<io::Transport> transport_;
  io::Writer writer_;

 public:
  http::H2Session session;
};

}  // namespace pillion::testing
