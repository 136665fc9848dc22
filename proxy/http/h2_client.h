#pragma once
// H2ClientConnection: one HTTP/2 connection to an upstream and the exchanges on it.
//
// Owned by its pool.  Each exchange is an H2ClientStream, from begin() until both directions have
// ended or either side has reset it; then the pool hears on_client_idle.  Streams belong to the
// connection and live in blocks that the thread keeps for reuse.
//
// Back-pressure: of a response by its stream's window, which is given back as the sink takes the
// bytes (pause_response holds it back); of a request by the peer's windows and the transport, which
// is_backed_up() tells.  No stream stops another.
//
// Until the peer's SETTINGS have come it is taken to allow `first_streams` at a time.  Upgrades
// (RFC 8441) wait for them.

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/http/client_connection.h"
#include "proxy/http/h2_client_stream.h"
#include "proxy/http/h2_codec.h"
#include "proxy/http/h2_keepalive.h"
#include "proxy/http/h2_leftover.h"
#include "proxy/http/limits.h"
#include "proxy/io/loop.h"
#include "proxy/io/transport.h"
#include "proxy/io/writer.h"

namespace pillion::http {

class H2ClientConnection final : public ClientConnection,
                                 private io::TransportObserver,
                                 private io::WriterObserver,
                                 private io::ReadyTask,
                                 private H2Observer {
 public:
  static constexpr uint32_t kFirstStreams = 100;  // RFC 9113, 6.5.2: what a peer should allow
  // A stream whose response is complete still holds its place: an upstream that does not end it has
  // half a second to one.  Each tick takes some of the patience with it.
  static constexpr Duration kGraceTick = std::chrono::milliseconds(500);
  static constexpr uint8_t kPatience = 3;
  static constexpr uint8_t kOverdue = 1;
  // For a tunnel that both sides have ended, whose server has not taken the last bytes: a minute.
  static constexpr uint8_t kTunnelPatience = 120;

  // All outlive the connection.
  H2ClientConnection(io::Loop& loop, io::WriteBatch& batch, const H1Limits& limits,
                     const H2Options& options, Owner& owner,
                     uint32_t first_streams = kFirstStreams);
  ~H2ClientConnection() override;

  // ClientConnection
  void start(std::unique_ptr<io::Transport> transport) override;
  void adopt(std::unique_ptr<io::Transport> transport) override;
  UpstreamStream& begin(ResponseSink& sink) override;
  void close(Failure failure) override;
  [[nodiscard]] uint64_t bytes_sent() const noexcept override { return writer_.bytes_sent(); }

 private:
  friend class H2ClientStream;
  using Leftover = H2Leftover<H2ClientConnection>;
  friend Leftover;

  void on_connected() override;
  void on_readable() override;
  void on_writable() override { writer_.on_writable(); }
  void on_closed(Failure failure) override;
  void on_drained() override;
  void on_write_failed() override;
  // Sends what the turn has queued.
  void run_ready() override { send_queued(); }

  // H2Observer
  void on_head_begun(H2Stream& stream) override;
  void on_field(H2Stream& stream, std::string_view name, std::string_view value) override;
  void on_head_ended(H2Stream& stream, bool end) override;
  void on_data(H2Stream& stream, std::string_view data, bool end) override;
  void on_stream_drained(H2Stream& stream) override;
  void on_stream_closed(H2Stream& stream, H2Error error) override;
  void on_reset_frame(bool received) override {
    if (!closed_) event(received ? Event::kResetByPeer : Event::kResetByUs);
  }
  void on_goaway(int32_t last_stream, H2Error error) override;
  void on_settings() override;
  void on_ping_ack(uint64_t opaque) override;

  void open_session();
  // What to do with bytes, in pieces if a turn's budget ends.
  void receive(std::string_view bytes);
  size_t take(std::string_view bytes);
  void receive_leftover();
  void send_soon() noexcept {
    if (!closed_) loop_.post(*this);
  }
  void send_queued();
  void note_clog();
  // The session may have come to its end by itself.
  void check_session();
  void say_farewell();
  void drop_unread();
  void fail_streams(Failure failure);
  // Resets a stream whose sink is cut off, or about to be.
  void give_up(H2ClientStream& stream, H2Error error);
  // A response that is complete ends its exchange, be the request complete or not; and its stream
  // too, after a time.
  // Of a tunnel that is over, but for what waits to be sent: it has its place for so long.
  void watch_end(H2ClientStream& stream);
  void grant(H2ClientStream& stream, uint8_t ticks);
  void end_if_answered(H2ClientStream& stream);
  void on_grace_timer();
  H2ClientStream* find_overdue();
  H2ClientStream* find_awaiting();
  void cut_off(H2ClientStream& stream);
  void fail_unsent();
  // May the stream's upgrade be sent now?  False: `head` waits for the peer's SETTINGS, or they do
  // not allow it and the stream fails, though not on the caller's stack.
  bool takes_upgrade(H2ClientStream& stream, const RequestHead& head);
  void count_bytes(size_t received);
  void event(Event event) { owner_.on_client_event(*this, event); }
  void on_keepalive_timer();

  io::Loop& loop_;
  Owner& owner_;
  const H1Limits& limits_;
  const H2Options& options_;
  io::Writer writer_;
  std::optional<H2Session> session_;  // once connected
  IntrusiveList<H2ClientStream> streams_;
  IntrusiveList<H2ClientStream> unsent_;  // of those that the session could not open
  std::unique_ptr<Leftover> leftover_;
  std::unique_ptr<H2Keepalive> keepalive_;  // if configured
  io::Timer grace_timer_ = io::Timer::of<&H2ClientConnection::on_grace_timer>(this);
  size_t read_limit_ = io::Loop::kScratchBytes;  // less while turns leave something over
  uint64_t counted_sent_ = 0;
  bool in_session_ = false;  // on the stack
  bool settled_ = false;     // the peer's SETTINGS have come
};

}  // namespace pillion::http
