#pragma once
// H2Session: HTTP/2 framing and HPACK for one connection, server or client: a typed face of
// nghttp2, which no other file includes.  Knows frames, streams and windows; whether the fields it
// delivers make a valid message is decided by its users (http/h2_request.h, h2_response.h).
//
// Owned by a connection, whose Writer it fills and which outlives it.  The connection gives it the
// bytes it read, and calls send() once per turn when wants_to_send() (every call that queues
// something makes it true).
//
//   client  send_head(stream)            -> on_head_begun on_field* on_head_ended ...
//   server  on_stream_begun              -> on_field* on_head_ended ... send_head(stream)
//
// Calls for one stream, each way: head (interim heads before a response's), data*, (trailers)?, or
// reset at any point; both end with on_stream_closed, after which the session has forgotten it.
//
// Callbacks come from inside receive() and send().  Within them everything here may be called but
// receive() and send(); the observer may close its connection, which then says stop().  A stream's
// object must outlive the call in which its on_stream_closed came: pass it to Loop::delete_later.
//
// Flow control of what we receive: a stream's window is filled again only by consume(), as bytes
// leave us; the connection's as long as no more than half a window waits in us, then by consume().
// Of what we send: send_data() takes everything; what the peer's windows or the transport have no
// room for is kept in the stream's Buffer, is_stalled() says so, and on_stream_drained tells when
// it is gone.

#include <cstdint>
#include <span>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/http/h2_budget.h"
#include "proxy/http/h2_flood.h"
#include "proxy/http/h2_memory.h"
#include "proxy/http/h2_options.h"
#include "proxy/http/h2_past.h"
#include "proxy/http/headers.h"

struct nghttp2_session;
struct nghttp2_session_callbacks;

namespace pillion::io {
class Writer;
}

namespace pillion::http {

// RFC 9113, 7.
enum class H2Error : uint32_t {
  kNone = 0,
  kProtocol = 1,
  kInternal = 2,
  kFlowControl = 3,
  kSettingsTimeout = 4,
  kStreamClosed = 5,
  kFrameSize = 6,
  kRefusedStream = 7,
  kCancel = 8,
  kCompression = 9,
  kConnect = 10,
  kEnhanceYourCalm = 11,
  kInadequateSecurity = 12,
  kHttp11Required = 13,
};

// What a session keeps for a stream: the base of a connection's own stream class.  Made by the
// connection, owned by it; see on_stream_closed.
class H2Stream {
 public:
  [[nodiscard]] int32_t id() const noexcept { return id_; }  // 0: not begun
  // Bytes of the body that wait in us.
  [[nodiscard]] size_t held() const noexcept { return held_.size() - trailer_bytes_; }
  // The last send() could not take all of it, or there is too much of it: stop the source.
  [[nodiscard]] bool is_stalled() const noexcept { return stalled_; }
  // Our END_STREAM was queued; was sent.
  [[nodiscard]] bool send_ended() const noexcept { return end_queued_; }
  [[nodiscard]] bool end_sent() const noexcept { return end_sent_; }
  // The peer's END_STREAM came.
  [[nodiscard]] bool receive_ended() const noexcept { return end_received_; }
  // Frames of this stream, their headers included.
  [[nodiscard]] uint64_t wire_received() const noexcept { return wire_received_; }
  [[nodiscard]] uint64_t wire_sent() const noexcept { return wire_sent_; }

 protected:
  H2Stream() = default;
  ~H2Stream() = default;
  H2Stream(const H2Stream&) = delete;
  H2Stream& operator=(const H2Stream&) = delete;

 private:
  friend class H2Session;
  friend struct H2Receiving;
  friend struct H2Sending;
  int32_t id_ = 0;
  bool has_source_ : 1 = false;  // nghttp2 asks us for its DATA
  bool deferred_ : 1 = false;    // it asked, and there was nothing
  bool stalled_ : 1 = false;
  bool end_queued_ : 1 = false;
  bool end_sent_ : 1 = false;
  bool end_received_ : 1 = false;
  bool reset_ : 1 = false;  // RST_STREAM is queued or came: nothing more is said of its contents
  bool trailers_due_ : 1 = false;  // they follow the DATA frame that is being made
  uint32_t trailer_bytes_ = 0;     // at the end of held_, as http/h2_trailers.h writes them
  std::string_view view_;          // of send_data() on the stack: behind held_
  Buffer held_;
  uint64_t wire_received_ = 0;
  uint64_t wire_sent_ = 0;
};

class H2Observer {
 public:
  // Server: the client opened a stream; on_field follows.  Null refuses it (REFUSED_STREAM).
  virtual H2Stream* on_stream_begun(int32_t /*id*/) { return nullptr; }
  // Server: one was refused: more than we allow, or behind our last GOAWAY.
  virtual void on_stream_refused() {}
  // A further head begins on the stream: a response's (interim ones too) or trailers.  Not called
  // for a server's first.
  virtual void on_head_begun(H2Stream& stream) = 0;
  // Raw: any bytes may be in it.  The views live for the call, within which
  // H2Session::is_field_sensitive() tells whether it may never be indexed.
  virtual void on_field(H2Stream& stream, std::string_view name, std::string_view value) = 0;
  virtual void on_head_ended(H2Stream& stream, bool end) = 0;
  // Payload without padding.  The view lives until the loop's scratch buffer is read into again.
  // `end`: the last; may be empty.  For the stream's windows see consume().
  virtual void on_data(H2Stream& stream, std::string_view data, bool end) = 0;
  // Our END_STREAM is with the Writer.  on_stream_closed follows when the peer's has come.
  virtual void on_end_sent(H2Stream& /*stream*/) {}
  // What waited has been sent after is_stalled().
  virtual void on_stream_drained(H2Stream& stream) = 0;
  // Both directions ended (kNone), or either side reset it.  Last call for this stream.
  virtual void on_stream_closed(H2Stream& stream, H2Error error) = 0;
  // A RST_STREAM came (or else: is with the Writer), be the stream known or not.  For counters.
  virtual void on_reset_frame(bool /*received*/) {}
  // The peer takes no further streams; those above `last_stream` were not processed, and are closed
  // with kRefusedStream right after this call.
  virtual void on_goaway(int32_t /*last_stream*/, H2Error /*error*/) {}
  // The peer's SETTINGS came: see peer_max_streams().
  virtual void on_settings() {}
  virtual void on_ping_ack(uint64_t /*opaque*/) {}

 protected:
  ~H2Observer() = default;
};

class H2Session {
 public:
  enum class Role : uint8_t { kServer, kClient };

  // Queues the connection preface and SETTINGS.  `writer` and `observer` outlive the session; it
  // keeps of the options what it needs.
  H2Session(Role role, const H2Options& options, H2Observer& observer, io::Writer& writer);
  ~H2Session();
  H2Session(const H2Session&) = delete;
  H2Session& operator=(const H2Session&) = delete;

  // Works through what the peer sent.  Returns how much of it: less than all when the budget of a
  // turn is spent (frames, new streams): give the rest again in the next turn.
  size_t receive(std::string_view bytes);
  // Moves what is queued to the Writer, as far as windows and the Writer's backlog allow.  Pieces
  // of views passed to send_data() are added to the Writer without a copy.
  void send();
  [[nodiscard]] bool wants_to_send() const noexcept;
  // The session is over (GOAWAY sent and all streams done, or a connection error and its GOAWAY is
  // with the Writer): close the transport when the Writer is empty.
  [[nodiscard]] bool is_finished() const noexcept;
  // No stream is left: what they needed may go, and the session may sleep (H2Memory::sweep).
  void rest() { memory_.rest(); }
  // The connection was closed: no further callback.
  void stop() noexcept { stopped_ = true; }

  // Sends a head: `pseudo` first (what else the connection adds may stand there too), then
  // `fields`. A client's stream is opened by it, and false says that the connection cannot open
  // any more (ids used up, GOAWAY came).  Text is copied, but for names of known ids.
  bool send_head(H2Stream& stream, std::span<const Field> pseudo, const Headers& fields, bool end);
  // An interim response.
  void send_informational(H2Stream& stream, std::span<const Field> pseudo, const Headers& fields);
  // Small pieces are kept for the next send(), so that what a turn makes is written once.  Larger
  // ones are sent at once, outside of receive(): then views of `data` are with the Writer until its
  // batch is flushed.
  void send_data(H2Stream& stream, std::string_view data, bool end);
  void send_trailers(H2Stream& stream, const Headers& trailers);
  // RST_STREAM; what is held is dropped.  on_stream_closed follows from within the next send().
  void reset(H2Stream& stream, H2Error error);

  // So many bytes of on_data left us: returns them to the stream's window and the connection's.
  void consume(H2Stream& stream, size_t bytes);
  // To the connection's alone: for bytes of a stream that nobody waits for.
  void consume_connection(size_t bytes);

  // The peer lacks window of the connection, because too much waits in us.
  [[nodiscard]] bool is_clogged() const noexcept { return withheld_ != 0; }

  void ping(uint64_t opaque);
  // Server: GOAWAY with the highest stream id: the client should stop opening streams, but those on
  // their way are served.  Then goaway(kNone) a round trip or a drain time later.
  void announce_shutdown();
  // GOAWAY: streams that began are served, further ones refused, from now on.
  void goaway(H2Error error);
  // A client's, from within a callback, when stop() is to follow: GOAWAY past nghttp2.
  void write_goaway();
  // GOAWAY, and no stream goes on.
  void terminate(H2Error error);
  // The same because of a flood, which the session itself may not be able to see.
  void end_flood(H2Flood kind);
  // A request was refused that we would not have had to refuse of anybody well-meaning: it costs
  // as a reset that the peer provoked.
  void count_offence() { count_reset(); }

  [[nodiscard]] bool is_field_sensitive() const noexcept { return field_sensitive_; }
  [[nodiscard]] uint32_t peer_max_streams() const noexcept;
  // Does the peer, as far as its SETTINGS have come, take requests with `:protocol` (RFC 8441)?
  [[nodiscard]] bool peer_takes_protocol() const noexcept;
  [[nodiscard]] uint32_t streams_opened() const noexcept { return streams_opened_; }
  // What may still be sent on the connection at all.
  [[nodiscard]] int32_t send_window() const noexcept;
  [[nodiscard]] H2Flood flood() const noexcept { return flood_; }
  // What it takes of memory, of which nghttp2 has all.
  [[nodiscard]] const H2Memory& memory() const noexcept { return memory_; }
  // The error of the GOAWAY we sent or will send because of a connection error.
  [[nodiscard]] H2Error error() const noexcept { return error_; }
  // The peer broke the protocol below the level of messages, and not of one stream alone; or our
  // GOAWAY with an error was sent.
  [[nodiscard]] bool is_broken() const noexcept { return broken_; }

 private:
  friend struct H2Receiving;
  friend struct H2Sending;
  struct Turn;  // of one receive()

  // What is needed of the options once the session is made: every idle connection has it.
  struct Kept {
    explicit Kept(const H2Options& options) noexcept;
    uint32_t buffer_limit;
    uint32_t connection_window;
    uint32_t stream_window;
    uint32_t max_empty_frames;
    uint32_t max_priority_frames_per_stream;
    uint32_t max_window_updates_per_data_frame;
    uint32_t stream_reset_burst;
    uint32_t stream_reset_rate;
    uint32_t max_unpacked;  // of a header block
  };

  static const nghttp2_session_callbacks* callbacks();
  static void add_receive_callbacks(nghttp2_session_callbacks* table);
  static void add_send_callbacks(nghttp2_session_callbacks* table);
  [[nodiscard]] bool has_room() const noexcept;
  // For calls from outside: since the last one it may have been put to sleep.
  [[nodiscard]] nghttp2_session* awake() const noexcept {
    if (memory_.is_asleep()) [[unlikely]]
      memory_.wake();
    return session_;
  }
  // The callbacks say nothing more.
  [[nodiscard]] bool is_deaf() const noexcept { return stopped_ || flood_ != H2Flood::kNone; }
  void begin(const H2Options& options);
  void count_frame(uint8_t type, uint8_t flags, size_t payload);
  void apply(const H2Past::Found& found);
  void earn_window_updates(uint32_t more);
  void settle_window();
  void count_stream();
  void count_reset();
  void count_refusal();
  // Floods, in h2_codec_floods.cc.
  void count_empty_frame();
  void count_idle_frame(uint8_t type);
  void count_reset_frame();
  void excuse();
  void count_stray_frame(uint8_t type, int32_t stream, size_t payload);
  [[nodiscard]] Turn new_turn();
  void end_turn(const Turn& turn);
  [[nodiscard]] size_t slice_size(size_t used) const noexcept {
    if (wary_ != 0) [[unlikely]]
      return kWarySliceBytes;
    return used == 0 ? kFirstSliceBytes : kSliceBytes;
  }
  void count_ignored(size_t received);
  void spend(uint32_t cost, H2Flood kind);
  void count_unpacked(size_t bytes);
  void count_head();
  void end_receiving(int error);
  void deliver_chunk(bool end);
  void wake(H2Stream& stream);
  [[nodiscard]] bool lacks_window(const H2Stream& stream) const noexcept;
  void submit_trailers(H2Stream& stream);
  static void forget_contents(H2Stream& stream);
  // The stream of the frame that is being received; null for one that was refused, or is gone.
  [[nodiscard]] H2Stream* receiving(int32_t id) const noexcept;

  H2Observer& observer_;
  io::Writer& writer_;
  mutable H2Memory memory_{unconsumed_};  // of session_
  nghttp2_session* session_ = nullptr;    // owned; see awake()
  Turn* turn_ = nullptr;                  // on the stack; null but within receive()
  // Of the frame that is being received, so that its fields need not look for their stream.
  H2Stream* current_ = nullptr;
  int32_t current_id_ = 0;
  const Kept kept_;
  H2Past past_;
  // Bytes of on_data that have not left us, and how many of them the connection's window lacks.
  // Windows are of 31 bits, and we hold one and a half at most.
  uint32_t unconsumed_ = 0;
  uint32_t withheld_ = 0;
  uint32_t streams_opened_ = 0;
  uint32_t open_streams_ = 0;
  // What the peer may still send of these; new streams and DATA that we send add to it.
  uint32_t priority_credit_;
  uint32_t window_update_credit_;
  uint32_t reset_credit_;  // streams that we may have to reset; served ones add to it
  uint32_t served_ = 0;    // answers since that was last made use of
  uint32_t excused_ = 0;   // frames' worth of what may come for streams that we reset
  H2Bucket idle_frames_;
  H2Bucket resets_;            // that the peer may send
  uint32_t moved_ = 0;         // DATA frames, and some for each stream, that earned nothing yet
  uint32_t unpacked_ = 0;      // of the header block that is read
  int32_t ignored_ = 0;        // bytes that came, less those of frames that nghttp2 told us of
  int32_t last_begun_ = 0;     // server: the last stream that the peer opened
  uint32_t empty_frames_ = 0;  // in a row
  H2Error error_ = H2Error::kNone;
  const Role role_;
  H2Flood flood_ = H2Flood::kNone;
  uint8_t stray_resets_ = 0;
  uint8_t wary_ = 0;  // so many turns are watched closely: one before spent its budget
  bool field_sensitive_ = false;
  bool in_callback_ = false;  // in receive() or send()
  bool stopped_ = false;
  bool broken_ : 1 = false;
  bool refusing_ : 1 = false;  // a GOAWAY that names the last stream is queued or was sent
  bool dead_ : 1 = false;      // nghttp2 takes no further input
  bool mute_ : 1 = false;      // and makes no further output
  bool leave_ : 1 = false;     // the peer took its leave in a way that nghttp2 does not know
};
// Every idle connection has one.
static_assert(sizeof(H2Session) <= 288);

// What is needed while the session receives, and not between.
struct H2Session::Turn {
  uint32_t frames_left;  // of the budget
  uint32_t begins_left;
  // The chunk of a DATA frame that may be the stream's last: told when that is known.
  H2Stream* chunk_stream = nullptr;
  std::string_view chunk{};
  bool paused = false;  // the budget of new streams is spent
};

}  // namespace pillion::http
