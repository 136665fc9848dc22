// H2Session, the half that receives.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "proxy/base/assert.h"
#include "proxy/http/h2_codec.h"
#include "proxy/http/h2_codec_parts.h"
#include "proxy/io/writer.h"

namespace pillion::http {
namespace {

// Frames on streams that are over are answered so often, then ignored.
constexpr uint8_t kMaxStrayResets = 100;

// What connections that spend their budget have had in the turn of this thread's loop.
struct SharedTurn {
  uint64_t turn = 0;
  uint32_t frames = 0;
  uint32_t streams = 0;
};
thread_local SharedTurn shared;

// Null for a stream that was refused, or is gone.
H2Stream* stream_of(nghttp2_session* session, int32_t id) {
  return static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session, id));
}

}  // namespace

// Friend of H2Session and H2Stream: what nghttp2 calls when it receives.
struct H2Receiving {
  static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* header, void* user);
  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                       size_t name_size, const uint8_t* value, size_t value_size, uint8_t flags,
                       void* user);
  static int on_data_chunk(nghttp2_session*, uint8_t flags, int32_t id, const uint8_t* data,
                           size_t size, void* user);
  static int on_frame_received(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static int on_invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int error, void* user);
  static int on_stream_closed(nghttp2_session*, int32_t id, uint32_t error, void* user);
  static void take_headers(H2Session& session, const nghttp2_frame& frame);
};

H2Stream* H2Session::receiving(int32_t id) const noexcept {
  return id == current_id_ ? current_ : stream_of(session_, id);
}

inline H2Session::Turn H2Session::new_turn() {
  Turn made{kFramesPerTurn, kStreamsPerTurn};
  if (wary_ == 0) [[likely]]
    return made;
  const uint64_t turn = writer_.turn();
  if (shared.turn != turn) shared = {turn, 0, 0};
  made.frames_left -= std::min(shared.frames, kFramesPerTurn - kLeastFramesPerTurn);
  made.begins_left -= std::min(shared.streams, kStreamsPerTurn - kLeastStreamsPerTurn);
  shared.frames += made.frames_left;
  shared.streams += made.begins_left;
  return made;
}

inline void H2Session::end_turn(const Turn& turn) {
  if (turn.frames_left == 0 || turn.begins_left == 0) {
    wary_ = kWaryTurns;
  } else if (wary_ != 0) {
    --wary_;
  }
}

size_t H2Session::receive(std::string_view bytes) {
  nghttp2_session* const session = awake();
  Turn turn = new_turn();
  turn_ = &turn;
  in_callback_ = true;
  size_t used = 0;
  while (used < bytes.size() && turn.frames_left != 0 && turn.begins_left != 0 && !turn.paused) {
    if (is_deaf() || dead_) {
      used = bytes.size();
      break;
    }
    const std::string_view slice = bytes.substr(used, slice_size(used));
    const H2Past before = past_;
    const H2Past::Found found = past_.scan(slice);
    const auto* data = reinterpret_cast<const uint8_t*>(slice.data());
    const ssize_t taken = nghttp2_session_mem_recv(session, data, found.fine);
    if (turn.chunk_stream != nullptr) deliver_chunk(false);
    if (taken < 0) {
      end_receiving(static_cast<int>(taken));
      continue;
    }
    used += static_cast<size_t>(taken);
    count_ignored(static_cast<size_t>(taken));
    if (static_cast<size_t>(taken) == found.fine) {
      apply(found);
    } else {  // the rest comes again
      past_ = before;
      apply(past_.scan(slice.substr(0, static_cast<size_t>(taken))));
    }
  }
  // A pause may stand before the end of a block that is here whole: nothing more need come.
  if (turn.paused && used == bytes.size() && !is_deaf() && !dead_) {
    const ssize_t rest = nghttp2_session_mem_recv(session, nullptr, 0);
    if (rest < 0) end_receiving(static_cast<int>(rest));
  }
  end_turn(turn);
  turn_ = nullptr;
  in_callback_ = false;
  return used;
}

void H2Session::apply(const H2Past::Found& found) {
  if (is_deaf() || dead_) return;
  // Nothing else bounds how many of these wait to be sent.
  if (found.reset != 0 && stray_resets_ < kMaxStrayResets) {
    ++stray_resets_;
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, found.reset, NGHTTP2_STREAM_CLOSED);
  }
  if (found.verdict == H2Past::Verdict::kFine) return;
  dead_ = broken_ = true;
  terminate(found.verdict == H2Past::Verdict::kProtocol ? H2Error::kProtocol
                                                        : H2Error::kStreamClosed);
}

void H2Session::end_receiving(int error) {
  dead_ = true;
  if (is_deaf()) return;
  broken_ = true;
  if (error == NGHTTP2_ERR_FLOODED) return end_flood(H2Flood::kOutbound);
  if (error == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS) return end_flood(H2Flood::kContinuation);
  terminate(H2Error::kProtocol);
}

void H2Session::deliver_chunk(bool end) {
  H2Stream& stream = *std::exchange(turn_->chunk_stream, nullptr);
  if (is_deaf()) return;
  const std::string_view chunk = turn_->chunk;
  if (stream.reset_) {
    nghttp2_session_consume_connection(awake(), chunk.size());
    return;
  }
  unconsumed_ += static_cast<uint32_t>(chunk.size());
  withheld_ += static_cast<uint32_t>(chunk.size());
  settle_window();
  observer_.on_data(stream, chunk, end);
}

// nghttp2 tells the peer of window only when it is half of all.  So half is lent: the connection
// stands still when a whole window waits in us, not when a half does, and we hold one and a half.
void H2Session::settle_window() {
  const uint32_t lent = kept_.connection_window / 2;
  const uint32_t kept = unconsumed_ > lent ? unconsumed_ - lent : 0;
  if (withheld_ <= kept) return;
  nghttp2_session_consume_connection(awake(), withheld_ - kept);
  withheld_ = kept;
}

void H2Session::consume(H2Stream& stream, size_t bytes) {
  nghttp2_session_consume_stream(awake(), stream.id_, bytes);
  consume_connection(bytes);
}

void H2Session::consume_connection(size_t bytes) {
  DASSERT(bytes <= unconsumed_);
  unconsumed_ -= static_cast<uint32_t>(bytes);
  settle_window();
}

// Envoy's limits, as credits with a ceiling: a long life does not earn the right to a flood.
void H2Session::count_frame(uint8_t type, uint8_t flags, size_t payload) {
  if (turn_->frames_left != 0) --turn_->frames_left;
  switch (type) {
    case NGHTTP2_DATA:
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION: {
      if (type == NGHTTP2_HEADERS) unpacked_ = 0;
      const uint8_t ends =
          type == NGHTTP2_CONTINUATION ? NGHTTP2_FLAG_END_HEADERS : NGHTTP2_FLAG_END_STREAM;
      if (payload == 0 && (flags & ends) == 0) return count_empty_frame();
      // What is padded may be nothing else: on_data_chunk, on_frame_received know.
      const bool may_be_empty = type == NGHTTP2_DATA && (flags & NGHTTP2_FLAG_PADDED) != 0;
      if (!may_be_empty) empty_frames_ = 0;
      return;
    }
    case NGHTTP2_PRIORITY:
      if (priority_credit_-- == 0) end_flood(H2Flood::kPriority);
      return;
    case NGHTTP2_WINDOW_UPDATE:
      if (window_update_credit_-- == 0) end_flood(H2Flood::kWindowUpdate);
      return;
    case NGHTTP2_RST_STREAM:
      return;
    default:
      return count_idle_frame(type);
  }
}

// ---- what nghttp2 calls ----

int H2Receiving::on_begin_frame(nghttp2_session* session, const nghttp2_frame_hd* header,
                                void* user) {
  H2Session& self = session_of(user);
  self.ignored_ -= static_cast<int32_t>(kFrameHeader + header->length);
  if (!self.is_deaf()) self.count_frame(header->type, header->flags, header->length);
  // Enough: nghttp2 would work through the rest of the slice.
  if (self.is_deaf()) return NGHTTP2_ERR_CALLBACK_FAILURE;
  const int32_t id = header->stream_id;
  self.current_id_ = id;
  self.current_ = id == 0 ? nullptr : stream_of(session, id);
  if (self.current_ != nullptr) {
    self.current_->wire_received_ += kFrameHeader + header->length;
  } else if (id != 0) {
    self.count_stray_frame(header->type, id, header->length);
  }
  return 0;
}

int H2Receiving::on_begin_headers(nghttp2_session* session, const nghttp2_frame* frame,
                                  void* user) {
  H2Session& self = session_of(user);
  if (self.is_deaf()) return 0;
  const int32_t id = frame->hd.stream_id;
  if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
    H2Stream* stream = self.receiving(id);
    if (stream != nullptr && !stream->reset_) self.observer_.on_head_begun(*stream);
    return 0;
  }
  self.last_begun_ = id;
  if (self.turn_->begins_left != 0) --self.turn_->begins_left;
  // A GOAWAY that still waits to be sent says of this stream that it was not processed.
  H2Stream* stream = self.refusing_ ? nullptr : self.observer_.on_stream_begun(id);
  if (stream == nullptr) {
    self.count_refusal();
    return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
  }
  self.count_stream();
  stream->id_ = id;
  stream->wire_received_ += kFrameHeader + frame->hd.length;
  self.current_ = stream;
  self.current_id_ = id;
  return nghttp2_session_set_stream_user_data(session, id, stream);
}

int H2Receiving::on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                           size_t name_size, const uint8_t* value, size_t value_size, uint8_t flags,
                           void* user) {
  H2Session& self = session_of(user);
  self.count_unpacked(name_size + value_size);
  if (self.is_deaf()) return NGHTTP2_ERR_CALLBACK_FAILURE;
  self.field_sensitive_ = (flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0;
  H2Stream* stream = self.receiving(frame->hd.stream_id);
  if (stream != nullptr && !stream->reset_)
    self.observer_.on_field(*stream, text(name, name_size), text(value, value_size));
  H2Session::Turn& turn = *self.turn_;
  if (turn.begins_left != 0 || turn.paused) return 0;
  turn.paused = true;
  return NGHTTP2_ERR_PAUSE;
}

int H2Receiving::on_data_chunk(nghttp2_session* session, uint8_t flags, int32_t id,
                               const uint8_t* data, size_t size, void* user) {
  H2Session& self = session_of(user);
  H2Session::Turn& turn = *self.turn_;
  if (turn.chunk_stream != nullptr) self.deliver_chunk(false);
  H2Stream* stream = self.is_deaf() ? nullptr : self.receiving(id);
  if (stream == nullptr || stream->reset_) {
    nghttp2_session_consume_connection(session, size);
    return 0;
  }
  self.empty_frames_ = 0;
  ++self.moved_;
  turn.chunk_stream = stream;
  turn.chunk = text(data, size);
  if ((flags & NGHTTP2_FLAG_END_STREAM) == 0) self.deliver_chunk(false);
  return 0;
}

void H2Receiving::take_headers(H2Session& self, const nghttp2_frame& frame) {
  self.count_head();
  H2Stream* stream = self.receiving(frame.hd.stream_id);
  if (stream == nullptr || stream->reset_) return;
  const bool end = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  stream->end_received_ = end;
  self.observer_.on_head_ended(*stream, end);
}

int H2Receiving::on_frame_received(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  H2Session& self = session_of(user);
  if (self.is_deaf()) return 0;
  switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
      take_headers(self, *frame);
      break;
    case NGHTTP2_DATA: {
      if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        const bool is_padding = frame->hd.length != 0 && frame->data.padlen == frame->hd.length;
        if (is_padding) self.count_empty_frame();
        break;
      }
      H2Stream* stream = self.receiving(frame->hd.stream_id);
      if (stream == nullptr || stream->reset_) break;
      stream->end_received_ = true;
      if (self.turn_->chunk_stream != nullptr) {
        self.deliver_chunk(true);
      } else {
        self.observer_.on_data(*stream, {}, true);
      }
      break;
    }
    case NGHTTP2_SETTINGS:
      if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) self.observer_.on_settings();
      break;
    case NGHTTP2_RST_STREAM:
      // Behind our answer it costs what a stray frame does: gRPC's clients send it by routine.
      if (const H2Stream* s = self.receiving(frame->hd.stream_id); s != nullptr && !s->end_sent_)
        self.count_reset_frame();
      self.observer_.on_reset_frame(true);
      break;
    case NGHTTP2_PING:
      if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
        uint64_t opaque;
        std::memcpy(&opaque, frame->ping.opaque_data, sizeof opaque);
        self.observer_.on_ping_ack(opaque);
      }
      break;
    case NGHTTP2_GOAWAY:
      self.observer_.on_goaway(frame->goaway.last_stream_id,
                               static_cast<H2Error>(frame->goaway.error_code));
      break;
    default:
      break;
  }
  return 0;
}

// Of what nghttp2 finds wrong this is a stream's alone: one more than we allow (from a client that
// cannot know our SETTINGS yet), and a stream's window beyond 2^31-1.
int H2Receiving::on_invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int error,
                                  void* user) {
  H2Session& self = session_of(user);
  const bool is_stream_window = frame->hd.type == NGHTTP2_WINDOW_UPDATE &&
                                frame->hd.stream_id != 0 && error == NGHTTP2_ERR_FLOW_CONTROL;
  // grpc-go takes its leave with the last stream that it opened itself, where RFC 9113, 6.8, wants
  // one of ours.  The session ends as after any frame that is wrong, but nobody did harm.
  const bool is_leave = self.role_ == H2Session::Role::kServer &&
                        frame->hd.type == NGHTTP2_GOAWAY &&
                        frame->goaway.error_code == NGHTTP2_NO_ERROR;
  if (error == NGHTTP2_ERR_REFUSED_STREAM) {
    self.last_begun_ = frame->hd.stream_id;
    self.count_refusal();
  } else if (is_leave) {
    self.leave_ = true;
  } else if (!is_stream_window) {
    self.broken_ = true;
  }
  return 0;
}

int H2Receiving::on_stream_closed(nghttp2_session* session, int32_t id, uint32_t error,
                                  void* user) {
  H2Session& self = session_of(user);
  H2Stream* stream = stream_of(session, id);
  if (stream == nullptr) return 0;
  --self.open_streams_;
  H2Session::Turn* const turn = self.turn_;
  if (turn != nullptr && turn->chunk_stream == stream) turn->chunk_stream = nullptr;
  if (self.current_ == stream) self.current_ = nullptr;
  self.forget_contents(*stream);
  if (!self.stopped_) self.observer_.on_stream_closed(*stream, static_cast<H2Error>(error));
  return 0;
}

void H2Session::add_receive_callbacks(nghttp2_session_callbacks* table) {
  nghttp2_session_callbacks_set_on_begin_frame_callback(table, &H2Receiving::on_begin_frame);
  nghttp2_session_callbacks_set_on_begin_headers_callback(table, &H2Receiving::on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(table, &H2Receiving::on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table, &H2Receiving::on_data_chunk);
  nghttp2_session_callbacks_set_on_frame_recv_callback(table, &H2Receiving::on_frame_received);
  nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(table,
                                                               &H2Receiving::on_invalid_frame);
  nghttp2_session_callbacks_set_on_stream_close_callback(table, &H2Receiving::on_stream_closed);
}

}  // namespace pillion::http
