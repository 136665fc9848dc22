#pragma once
// H2ServerConnection: one HTTP/2 connection of a client and the exchanges on it.
//
// Owned by the connection manager (the Owner), which makes an Exchange for each stream and decides
// when the connection is to end.  Streams (H2ServerStream) belong to this connection; an Exchange
// is cut off by on_exchange_done, which comes as soon as the response is made, while the stream may
// live on until the client has it.
//
// Calls match: start (new_exchange ... on_exchange_done)* on_server_closed.
//
// What a turn makes on all streams is sent by one write, from the ready queue.  A connection ends
// by drain() (GOAWAY in two steps), by itself when the client's GOAWAY or a connection error has
// left nothing to do, or by close().

#include <cstdint>
#include <memory>

#include "proxy/base/buffer.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/http/codec.h"
#include "proxy/http/h2_codec.h"
#include "proxy/http/h2_keepalive.h"
#include "proxy/http/h2_leftover.h"
#include "proxy/http/h2_server_stream.h"
#include "proxy/http/limits.h"
#include "proxy/io/loop.h"
#include "proxy/io/transport.h"
#include "proxy/io/writer.h"

namespace pillion::http {

class H2ServerConnection final : public io::Deferred,
                                 private io::TransportObserver,
                                 private io::WriterObserver,
                                 private io::ReadyTask,
                                 private H2Observer {
 public:
  // For counters.
  enum class Event : uint8_t {
    kResetReceived,
    kResetSent,
    kStreamRefused,
    kTrailers,
    kGoawaySent,
    kPingTimeout,
    kFlushTimeout,
    kProtocolError,
  };
  class Owner {
   public:
    // The TLS handshake, if any, is done.
    virtual void on_server_connected() = 0;
    // A request begins: makes its Exchange.
    virtual H2Exchange& new_exchange(H2ServerStream& stream) = 0;
    // What was read ended within the head of a request.
    virtual void on_head_incomplete() {}
    // No stream is left: the idle time begins.
    virtual void on_idle() = 0;
    // A stream was opened or has ended.
    virtual void on_stream_count(int change) = 0;
    virtual void on_event(Event event) = 0;
    // The client is being cut off because of what it sends.
    virtual void on_flood(H2Flood /*flood*/) {}
    // A request was refused by the codec: its sink hears on_request_failed too.
    virtual void on_malformed(FailureKind kind) = 0;
    // The connection is closed.  The owner passes it to Loop::delete_later.
    virtual void on_server_closed(Failure failure) = 0;
    virtual void on_traffic(uint64_t received, uint64_t sent) = 0;

   protected:
    ~Owner() = default;
  };

  // All but `options` outlive the connection.  What is changed in `limits` counts from then on.
  H2ServerConnection(io::Loop& loop, io::WriteBatch& batch, const H1Limits& limits,
                     const H2Options& options, Owner& owner);
  ~H2ServerConnection() override;

  // Bytes already read from the transport come first.  `connected`: it is, and on_server_connected
  // will not come.
  void start(std::unique_ptr<io::Transport> transport, Buffer already_read, bool connected);
  void read_now() { on_readable(); }
  // Idempotent.  Sinks of running exchanges are not told.
  void close(Failure failure, io::Transport::CloseMode mode = io::Transport::CloseMode::kOrderly);
  // Streams that began are served, and those that are on their way: first GOAWAY with the highest
  // id, the real one after `grace`, and the end when no stream is left.
  void drain(Duration grace);
  // Cuts the client off for something that the session cannot see.
  void end_flood(H2Flood flood) {
    if (closed_) return;
    session_.end_flood(flood);
    send_soon();
  }

  [[nodiscard]] bool is_draining() const noexcept { return draining_; }
  [[nodiscard]] bool is_closed() const noexcept { return closed_; }
  [[nodiscard]] uint32_t streams() const noexcept { return stream_count_; }
  [[nodiscard]] uint32_t requests() const noexcept { return session_.streams_opened(); }
  [[nodiscard]] uint64_t bytes_received() const noexcept { return received_; }
  [[nodiscard]] uint64_t bytes_sent() const noexcept { return writer_.bytes_sent(); }
  [[nodiscard]] io::Transport& transport() const noexcept { return *transport_; }

 private:
  friend class H2ServerStream;
  using Leftover = H2Leftover<H2ServerConnection>;
  friend Leftover;
  struct Ending;

  // TransportObserver, WriterObserver, ReadyTask
  void on_connected() override;
  void on_readable() override;
  void on_writable() override { writer_.on_writable(); }
  void on_closed(Failure failure) override { lose(failure); }
  void on_drained() override { send_soon(); }
  void on_write_failed() override;
  void run_ready() override;

  // H2Observer
  H2Stream* on_stream_begun(int32_t id) override;
  void on_stream_refused() override { owner_.on_event(Event::kStreamRefused); }
  void on_head_begun(H2Stream& stream) override;
  void on_field(H2Stream& stream, std::string_view name, std::string_view value) override;
  void on_head_ended(H2Stream& stream, bool end) override;
  void on_data(H2Stream& stream, std::string_view data, bool end) override;
  void on_end_sent(H2Stream& stream) override;
  void on_reset_frame(bool received) override {
    owner_.on_event(received ? Event::kResetReceived : Event::kResetSent);
  }
  void on_stream_drained(H2Stream& stream) override;
  void on_stream_closed(H2Stream& stream, H2Error error) override;
  // Nothing is left of it: it is destroyed.
  void forget(H2ServerStream& stream);
  void on_goaway(int32_t, H2Error) override { send_soon(); }
  void on_ping_ack(uint64_t opaque) override;

  void send_soon() noexcept {
    if (!closed_) loop_.post(*this);
  }
  size_t receive(std::string_view bytes);
  void receive_leftover();
  void settle();
  void count_traffic();
  void lose(Failure failure, io::Transport::CloseMode mode = io::Transport::CloseMode::kOrderly);
  bool shed_streams(Failure failure);
  void end_if_finished();
  void linger();
  void on_linger_timeout() { close({FailureKind::kNone}); }
  void on_drain_timeout();
  void limit_farewell();
  void report_flood();
  Ending& ending();
  void arm_end_timer(Duration after);
  void on_keepalive_timer();

  io::Loop& loop_;
  Owner& owner_;
  const H1Limits* limits_;
  std::unique_ptr<io::Transport> transport_;
  io::Writer writer_;
  H2Session session_;
  IntrusiveList<H2ServerStream> streams_list_;
  std::unique_ptr<Leftover> leftover_;
  std::unique_ptr<H2Keepalive> keepalive_;  // if configured
  std::unique_ptr<Ending> ending_;
  uint64_t received_ = 0;
  uint32_t read_limit_ = io::Loop::kScratchBytes;  // less while turns leave something over
  // The last bits of what the owner was told of.
  uint32_t counted_received_ = 0;
  uint32_t counted_sent_ = 0;
  uint32_t stream_count_ = 0;
  uint32_t outliving_ = 0;  // of those, that the session has forgotten
  const bool allow_connect_;
  bool head_open_ = false;  // the last stream's head is not complete
  bool losing_ = false;     // the client is gone, and streams are still to end
  bool draining_ = false;
  bool goaway_sent_ = false;
  bool lingering_ = false;
  bool write_failed_ = false;
  bool flood_reported_ = false;
  bool closed_ = false;
};
// Every idle connection has one.
static_assert(sizeof(H2ServerConnection) <= 528);

}  // namespace pillion::http
