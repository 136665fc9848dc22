#pragma once
// H1ClientConnection: one HTTP/1.1 connection to an upstream; one exchange at a time.
//
// The stream uses the connection itself as its UpstreamStream, between begin() and the end of the
// exchange.  A connection is used again only if the exchange ended cleanly on both directions and
// nothing more came than the response (RFC 9112, 9.3 and 6.3).

#include <cstdint>
#include <memory>

#include "proxy/http/client_connection.h"
#include "proxy/http/h1_body.h"
#include "proxy/http/h1_parser.h"
#include "proxy/http/head_stash.h"
#include "proxy/io/loop.h"
#include "proxy/io/transport.h"
#include "proxy/io/writer.h"

namespace pillion::http {

class H1ClientConnection final : public ClientConnection,
                                 public UpstreamStream,
                                 private io::TransportObserver,
                                 private io::WriterObserver {
 public:
  // `loop`, `batch` and `owner` outlive the connection, `limits` too or until set_limits().
  H1ClientConnection(io::Loop& loop, io::WriteBatch& batch, const H1Limits& limits, Owner& owner);
  ~H1ClientConnection() override;

  // ClientConnection
  void start(std::unique_ptr<io::Transport> transport) override;
  void adopt(std::unique_ptr<io::Transport> transport) override;
  UpstreamStream& begin(ResponseSink& sink) override;
  void close(Failure failure) override;
  [[nodiscard]] uint64_t bytes_sent() const noexcept override { return writer_.bytes_sent(); }

  // For what is parsed from now on; `limits` outlives the connection or the next call.
  void set_limits(const H1Limits& limits) noexcept { limits_ = &limits; }
  [[nodiscard]] bool is_idle() const noexcept { return state_ == State::kIdle && !closed_; }

  // UpstreamStream
  void send_head(const RequestHead& head, bool end) override;
  void send_body(std::string_view data, bool end) override;
  void send_trailers(const Headers& trailers) override;
  void reset() override;
  void pause_response() override;
  void resume_response() override;
  [[nodiscard]] bool is_backed_up() const noexcept override { return writer_.backlog() != 0; }

 private:
  enum class State : uint8_t { kConnecting, kIdle, kHead, kBody, kTrailers, kTunnel };

  void on_connected() override;
  void on_readable() override;
  void on_writable() override { writer_.on_writable(); }
  void on_closed(Failure failure) override { on_lost(failure); }
  void on_drained() override;
  void on_write_failed() override;

  void process(char* data, size_t size);
  size_t read_head(char* data, size_t size);
  void take_head(size_t leftover);
  void take_interim();
  size_t read_body(char* data, size_t size);
  size_t read_trailers(char* data, size_t size);
  void on_eof();
  // The response is complete; `leftover` bytes follow it.
  void end_exchange(size_t leftover);
  void protocol_error(Event event);
  void count_bytes(size_t received);
  // The exchange is over, all but `leftover` bytes of what came were its own.  Its sink, cut off.
  ResponseSink* end_sink(size_t leftover);
  // The connection broke.  In the middle of a response that is as much of an error as an early end
  // (Envoy tells its parser of both alike).
  void on_lost(Failure failure);
  // Has a part of a response come that is not complete?  (A tunnel has no end of its own.)
  [[nodiscard]] bool in_message() const noexcept;

  io::Loop& loop_;
  Owner& owner_;
  const H1Limits* limits_;
  io::Writer writer_;
  ResponseSink* sink_ = nullptr;
  ResponseHead* head_ = nullptr;  // in the sink's arena
  Headers* trailers_ = nullptr;
  HeadStash stash_;
  H1ResponseParser parser_;
  H1TrailerParser trailer_parser_;
  H1BodyReader body_;
  uint64_t counted_sent_ = 0;
  uint64_t added_before_ = 0;  // to the writer, by the exchanges that ended
  uint64_t received_ = 0;      // in this exchange
  uint8_t interim_ = 0;
  Method method_ = Method::kGet;
  Framing request_framing_ = Framing::kNone;
  State state_ = State::kConnecting;
  bool request_done_ : 1 = false;
  bool asked_upgrade_ : 1 = false;
  bool half_closed_ : 1 = false;  // a tunnel's server has ended its direction
  bool aborts_ : 1 = false;       // close() is a reset
  bool write_failed_ : 1 = false;
};

}  // namespace pillion::http
