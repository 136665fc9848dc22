#pragma once
// H1ServerConnection: one HTTP/1 connection of a client; requests are answered one after another.
//
// Owned by the connection manager (the Owner), which makes the stream of each request and decides
// what happens between requests.  Pipelined requests wait in a bounded buffer, and reading pauses
// while they do.
//
// An idle connection is small: what only a running exchange needs is its Work, taken from the
// thread's free list with the first byte of a request and given back when the response is with the
// transport.
//
// Calls match: start (new_stream exchange on_exchange_done)* on_server_closed.
// After an error reply or an early response the connection lingers: our FIN goes out, and what the
// client still sends is read and dropped (64 KiB or 1 s), or a reset would destroy the reply.  A
// response that breaks off ends the same way where its framing shows the gap, and by a reset where
// it does not.

#include <cstdint>
#include <memory>

#include "proxy/base/buffer.h"
#include "proxy/http/codec.h"
#include "proxy/http/limits.h"
#include "proxy/io/loop.h"
#include "proxy/io/transport.h"
#include "proxy/io/writer.h"

namespace pillion::http {

class H1ServerConnection final : public io::Deferred,
                                 public DownstreamStream,
                                 private io::TransportObserver,
                                 private io::WriterObserver,
                                 private io::ReadyTask {
 public:
  class Owner {
   public:
    // The TLS handshake, if any, is done.
    virtual void on_server_connected() = 0;
    // The first byte of a request came: makes its stream, which owns the head to parse into.
    virtual RequestSink& new_stream() = 0;
    virtual RequestHead& request_head() = 0;
    virtual Headers& new_request_trailers() = 0;
    // Both directions of the exchange are complete; the stream can go.  `reusable`: another
    // request may follow on this connection.
    virtual void on_exchange_done(bool reusable) = 0;
    // The connection is closed.  The owner passes it to Loop::delete_later.
    virtual void on_server_closed(Failure failure) = 0;
    // A request was refused by the codec: its sink hears on_request_failed too.
    virtual void on_malformed(FailureKind kind) = 0;
    // A head of that many bytes was parsed; on_request_head of the sink follows.
    virtual void on_head_complete(size_t bytes) = 0;
    // After expect_preface(): the client speaks HTTP/2.  `already_read` has its preface and what
    // came behind it.  The owner takes the transport by release().
    virtual void on_http2(Buffer& /*already_read*/) {}
    // Bytes of the wire since the last call: after each exchange, when idle, and at the end.
    virtual void on_traffic(uint64_t received, uint64_t sent) {
      static_cast<void>(received + sent);
    }

   protected:
    ~Owner() = default;
  };

  // All outlive the connection.  What is changed in `limits` counts for what is parsed from then
  // on.
  H1ServerConnection(io::Loop& loop, io::WriteBatch& batch, const H1Limits& limits, Owner& owner);
  ~H1ServerConnection() override;

  // Bytes already read from the transport (inspectors) come first.
  void start(std::unique_ptr<io::Transport> transport, std::string_view already_read);
  // Before start(): the first bytes may be the preface of HTTP/2.
  void expect_preface() noexcept { sniffing_ = true; }
  // Ends this connection without a call of on_server_closed and gives its transport away.
  std::unique_ptr<io::Transport> release();
  // Tries to read at once: right after accept the request is often there.
  void read_now() { on_readable(); }
  // Idempotent.  The sink of a running exchange is not told.
  void close(Failure failure, io::Transport::CloseMode mode = io::Transport::CloseMode::kOrderly);
  // No further request: the next head says "connection: close"; an idle connection closes now.
  void drain();
  // The route took an upgrade: after the final head bytes pass unframed both ways.
  void begin_tunnel();

  [[nodiscard]] bool is_idle() const noexcept;
  [[nodiscard]] bool is_closed() const noexcept { return closed_; }
  // The client ended its direction.
  [[nodiscard]] bool has_ended() const noexcept { return eof_; }
  [[nodiscard]] bool in_head() const noexcept { return state_ == State::kHead; }
  [[nodiscard]] uint32_t requests() const noexcept { return requests_; }
  [[nodiscard]] uint64_t bytes_received() const noexcept { return received_; }
  [[nodiscard]] uint64_t bytes_sent() const noexcept;
  // Of the exchange that runs: read from the wire, and given to the writer.
  [[nodiscard]] uint64_t exchange_received() const noexcept;
  [[nodiscard]] uint64_t exchange_sent() const noexcept;
  [[nodiscard]] size_t backlog() const noexcept;
  [[nodiscard]] io::Transport& transport() const noexcept { return *transport_; }

  // DownstreamStream
  void send_informational(const ResponseHead& head) override;
  void send_head(const ResponseHead& head, bool end) override;
  void send_body(std::string_view data, bool end) override;
  void send_trailers(const Headers& trailers) override;
  void half_close() override;
  void reset(Failure failure) override;
  void pause_request() override;
  void resume_request() override;
  [[nodiscard]] bool is_backed_up() const noexcept override { return backlog() != 0; }

 private:
  enum class State : uint8_t { kIdle, kHead, kBody, kTrailers, kRequestDone, kTunnel, kLinger };
  struct Work;

  void on_connected() override { owner_.on_server_connected(); }
  void on_readable() override;
  void on_writable() override;
  void on_closed(Failure failure) override { lose(failure); }
  void on_drained() override;
  void on_write_failed() override;
  void run_ready() override;

  [[nodiscard]] size_t waiting() const noexcept;
  void count_traffic();
  void need_work();
  void rest();

  // True: the bytes are (or may become) a preface, or wait now with those that looked like one.
  bool sniff(std::string_view bytes);
  void settle();
  void on_eof();
  void lose(Failure failure);

  // The request, in h1_server_request.cc.
  // Works through what came; returns how much of it, less than `size` when the rest must wait.
  size_t process(char* data, size_t size);
  size_t skip_blank_lines(const char* data, size_t size) noexcept;
  void begin_request();
  size_t read_head(char* data, size_t size);
  size_t read_body(char* data, size_t size);
  size_t read_trailers(char* data, size_t size);
  void end_request();
  void refuse(FailureKind kind);

  // The response and the end, in h1_server_response.cc.
  void add_body(std::string_view data);
  void response_done();
  void finish_exchange();
  void linger();
  void go_on_lingering();
  void on_linger_timeout() { close({FailureKind::kNone}); }

  io::Loop& loop_;
  io::WriteBatch& batch_;
  Owner& owner_;
  const H1Limits* limits_;
  std::unique_ptr<io::Transport> transport_;
  Work* work_ = nullptr;  // owned; there while anything but kIdle, or while something waits
  uint64_t received_ = 0;
  uint64_t sent_ = 0;  // but for what work_ sent
  uint32_t requests_ = 0;
  uint16_t blank_lines_ = 0;  // skipped since the last request
  State state_ = State::kIdle;
  uint8_t preface_bytes_ = 0;  // so many came, and nothing else
  bool sniffing_ : 1 = false;
  bool half_blank_line_ : 1 = false;  // CR came, LF is awaited
  bool keep_alive_ : 1 = true;
  bool head_sent_ : 1 = false;
  bool response_done_ : 1 = false;
  bool in_body_read_ : 1 = false;  // a request body is being delivered: finish afterwards
  bool processing_ : 1 = false;    // settle() follows
  bool draining_ : 1 = false;
  bool tunnel_ : 1 = false;
  bool refused_ : 1 = false;  // by the codec; where the next message begins is unknown
  bool write_failed_ : 1 = false;
  bool eof_ : 1 = false;          // the client ended its direction
  bool held_ : 1 = false;         // reading is paused because what waits is too much
  bool quick_close_ : 1 = false;  // lingering: nothing is left unread, as far as we know
  bool cut_ : 1 = false;          // the last response ends too early
  bool fin_sent_ : 1 = false;
  bool closed_ : 1 = false;
};

}  // namespace pillion::http
