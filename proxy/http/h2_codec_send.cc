// H2Session, the half that sends.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "proxy/base/assert.h"
#include "proxy/http/h2_codec.h"
#include "proxy/http/h2_codec_parts.h"
#include "proxy/http/h2_trailers.h"
#include "proxy/io/writer.h"

namespace pillion::http {
namespace {

// Payloads up to this size are copied behind their frame header: fewer pieces to send.
constexpr size_t kCopyPayload = 2 * 1024;
// Data up to this size is kept for the turn's end, and sent with all else.
constexpr size_t kGather = 8 * 1024;
// A stream holds more than this: its source should stop.
constexpr size_t kHeldLimit = 32 * 1024;
// No more frames are made while so much waits for the transport.
constexpr size_t kBacklogLimit = 64 * 1024;

// Did the peer make us send this RST_STREAM?  What fails behind us is not its doing, and a refusal
// was counted when it was queued.
bool is_peers_doing(uint32_t error) {
  return error != NGHTTP2_NO_ERROR && error != NGHTTP2_INTERNAL_ERROR && error != NGHTTP2_CANCEL &&
         error != NGHTTP2_REFUSED_STREAM && error != NGHTTP2_CONNECT_ERROR;
}

// Of a field by its id, for nghttp2.  Names of known ids are literals, and need no copy.
//
// What is another in each message is never found again in the table of HPACK: there it costs 200
// bytes of an idle connection, here and at the peer, and the place of a field that would be found.
// So it is not indexed (nghttp2 knows only literals that nobody may ever index).
constexpr auto kFieldFlags = [] {
  std::array<uint8_t, 256> flags{};
  flags.fill(NGHTTP2_NV_FLAG_NO_COPY_NAME);
  flags[static_cast<uint8_t>(HeaderId::kUnknown)] = NGHTTP2_NV_FLAG_NONE;
  for (const HeaderId id :
       {HeaderId::kB3, HeaderId::kGrpcTimeout, HeaderId::kTraceparent, HeaderId::kTracestate,
        HeaderId::kXB3ParentSpanId, HeaderId::kXB3SpanId, HeaderId::kXB3TraceId,
        HeaderId::kXClientTraceId, HeaderId::kXRequestId})
    flags[static_cast<uint8_t>(id)] |= NGHTTP2_NV_FLAG_NO_INDEX;
  return flags;
}();

void append_field(std::vector<nghttp2_nv>& to, const Field& field) {
  // nghttp2 takes pointers to bytes that it only reads.
  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  };
  static_assert(NGHTTP2_NV_FLAG_NO_INDEX == 1);  // as true is
  const auto flags = static_cast<uint8_t>(kFieldFlags[static_cast<uint8_t>(field.id)] |
                                          static_cast<uint8_t>(field.never_index));
  to.push_back(
      {bytes(field.name), bytes(field.value), field.name.size(), field.value.size(), flags});
}

// The fields of a head as nghttp2 wants them; valid until the thread's next call.
const std::vector<nghttp2_nv>& list_fields(std::span<const Field> pseudo, const Headers& fields) {
  thread_local std::vector<nghttp2_nv> list;
  list.clear();
  for (const Field& field : pseudo) append_field(list, field);
  fields.for_each([](const Field& field) { append_field(list, field); });
  return list;
}

}  // namespace

// Friend of H2Session and H2Stream: what nghttp2 calls when it sends.
struct H2Sending {
  static int on_frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static ssize_t read_data(nghttp2_session*, int32_t id, uint8_t* buffer, size_t size,
                           uint32_t* flags, nghttp2_data_source* source, void* user);
  static int send_data(nghttp2_session*, nghttp2_frame* frame, const uint8_t* frame_header,
                       size_t size, nghttp2_data_source* source, void* user);
};

bool H2Session::has_room() const noexcept {
  return writer_.backlog() < std::min<size_t>(kBacklogLimit, kept_.buffer_limit) &&
         !writer_.has_failed();
}

void H2Session::send() {
  if (in_callback_ || stopped_ || !has_room()) return;
  in_callback_ = true;
  nghttp2_session* const session = awake();
  H2Memory::Sending sending(memory_);
  while (!stopped_ && has_room()) {
    const uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session, &data);
    if (size < 0) mute_ = true;
    // Without room it may be in the middle of a DATA frame (send_data below).
    sending.set_complete(size == 0 && has_room());
    if (size <= 0) break;
    writer_.append_copy({reinterpret_cast<const char*>(data), static_cast<size_t>(size)});
  }
  in_callback_ = false;
}

bool H2Session::wants_to_send() const noexcept {
  return !stopped_ && nghttp2_session_want_write(awake()) != 0 && has_room();
}

bool H2Session::is_finished() const noexcept {
  if (mute_) return true;
  nghttp2_session* const session = awake();
  const bool wants_nothing = dead_ || nghttp2_session_want_read(session) == 0;
  return wants_nothing && nghttp2_session_want_write(session) == 0;
}

bool H2Session::send_head(H2Stream& stream, std::span<const Field> pseudo, const Headers& fields,
                          bool end) {
  if (stream.reset_ || stopped_) return false;
  const std::vector<nghttp2_nv>& list = list_fields(pseudo, fields);
  nghttp2_data_provider source;
  source.source.ptr = &stream;
  source.read_callback = &H2Sending::read_data;
  const nghttp2_data_provider* const body = end ? nullptr : &source;
  stream.has_source_ = !end;
  stream.end_queued_ = end;
  if (role_ == Role::kServer)
    return nghttp2_submit_response(awake(), stream.id_, list.data(), list.size(), body) == 0;
  const int32_t id =
      nghttp2_submit_request(awake(), nullptr, list.data(), list.size(), body, &stream);
  if (id < 0) return false;
  stream.id_ = id;
  count_stream();
  return true;
}

void H2Session::send_informational(H2Stream& stream, std::span<const Field> pseudo,
                                   const Headers& fields) {
  if (stream.reset_ || stopped_) return;
  const std::vector<nghttp2_nv>& list = list_fields(pseudo, fields);
  nghttp2_submit_headers(awake(), NGHTTP2_FLAG_NONE, stream.id_, nullptr, list.data(), list.size(),
                         nullptr);
}

void H2Session::send_data(H2Stream& stream, std::string_view data, bool end) {
  if (stream.reset_ || stopped_ || !stream.has_source_) return;
  stream.end_queued_ = end;
  wake(stream);
  if (in_callback_ || stream.held_.size() + data.size() <= kGather) {
    stream.held_.append(data);
    stream.stalled_ |= stream.held_.size() > std::min<size_t>(kHeldLimit, kept_.buffer_limit);
    return;
  }
  stream.view_ = data;
  send();
  const std::string_view left = std::exchange(stream.view_, {});
  if (left.empty() || stream.reset_) return;
  stream.held_.append(left);
  stream.stalled_ = true;
}

void H2Session::send_trailers(H2Stream& stream, const Headers& trailers) {
  if (stream.reset_ || stopped_ || !stream.has_source_) return;
  if (trailers.count() == 0) return send_data(stream, {}, true);
  // nghttp2 asked for DATA, and there was none; or does not ask, for there is no window.
  const bool is_idle = stream.held() == 0 && (stream.deferred_ || lacks_window(stream));
  stream.trailer_bytes_ = append_trailers(stream.held_, trailers);
  stream.end_queued_ = true;
  if (!is_idle) return wake(stream);
  // They need not wait for one, as DATA would.
  stream.has_source_ = false;
  submit_trailers(stream);
}

// Not when a request itself waits to be sent: then nghttp2 would send its trailers first.
bool H2Session::lacks_window(const H2Stream& stream) const noexcept {
  const int32_t left = nghttp2_session_get_stream_remote_window_size(awake(), stream.id_);
  return left == 0 || (left > 0 && send_window() == 0);
}

// What is left in held_ are the trailers.
void H2Session::submit_trailers(H2Stream& stream) {
  thread_local std::vector<char> text;
  text.resize(stream.trailer_bytes_);
  stream.held_.peek(text.data(), text.size());
  stream.held_.clear();
  stream.trailer_bytes_ = 0;
  stream.trailers_due_ = false;
  thread_local std::vector<nghttp2_nv> list;
  list.clear();
  TrailerText fields({text.data(), text.size()});
  for (Field field; fields.next(field);) append_field(list, field);
  nghttp2_submit_trailer(awake(), stream.id_, list.data(), list.size());
}

// nghttp2 asks for DATA again.
void H2Session::wake(H2Stream& stream) {
  if (!stream.deferred_) return;
  stream.deferred_ = false;
  nghttp2_session_resume_data(awake(), stream.id_);
}

void H2Session::forget_contents(H2Stream& stream) {
  stream.reset_ = true;
  stream.held_.clear();
  stream.trailer_bytes_ = 0;
}

void H2Session::reset(H2Stream& stream, H2Error error) {
  if (stream.reset_ || stopped_) return;
  if (role_ == Role::kClient && !stream.end_received_) excuse();
  forget_contents(stream);
  // A request may wait for the peer to take more streams, and the session sleep meanwhile.
  nghttp2_submit_rst_stream(awake(), NGHTTP2_FLAG_NONE, stream.id_, static_cast<uint32_t>(error));
}

// At a callback the Writer stands between two frames, if it is not full.  A server has opened no
// streams, and so the last one is 0.
void H2Session::write_goaway() {
  DASSERT(role_ == Role::kClient && in_callback_);
  // The preface and SETTINGS come first.
  if (!has_room() || writer_.bytes_added() == 0) return;
  const H2Error unsaid = broken_ ? H2Error::kProtocol : H2Error::kNone;
  const H2Error error = error_ == H2Error::kNone ? unsaid : error_;
  char frame[17] = {0, 0, 8, NGHTTP2_GOAWAY};
  frame[16] = static_cast<char>(error);
  writer_.append_copy({frame, sizeof frame});
}

int H2Sending::on_frame_sent(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
  H2Session& self = session_of(user);
  if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != 0) {
    self.error_ = static_cast<H2Error>(frame->goaway.error_code);
    self.broken_ = self.broken_ || !self.leave_;
    // nghttp2's own: more SETTINGS in a frame than it takes.
    if (self.error_ == H2Error::kEnhanceYourCalm && self.flood_ == H2Flood::kNone)
      self.flood_ = H2Flood::kSettings;
  }
  if (frame->hd.type == NGHTTP2_RST_STREAM && !self.stopped_) {
    self.observer_.on_reset_frame(false);
    const bool is_server = self.role_ == H2Session::Role::kServer;
    if (is_server && is_peers_doing(frame->rst_stream.error_code)) self.count_reset();
  }
  const bool has_contents = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
  if (!has_contents || self.stopped_) return 0;
  if (frame->hd.type == NGHTTP2_DATA) {
    ++self.moved_;
    self.earn_window_updates(2 * self.kept_.max_window_updates_per_data_frame);
  }
  auto* stream =
      static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session, frame->hd.stream_id));
  if (stream == nullptr) return 0;
  stream->wire_sent_ += kFrameHeader + frame->hd.length;
  if (stream->trailers_due_ && !stream->reset_) self.submit_trailers(*stream);
  if (stream->stalled_ && stream->held() == 0 && stream->view_.empty()) {
    stream->stalled_ = false;
    self.observer_.on_stream_drained(*stream);
    if (self.stopped_) return 0;
  }
  if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
  stream->end_sent_ = true;
  if (self.reset_credit_ < self.kept_.stream_reset_burst) ++self.reset_credit_;
  ++self.served_;
  self.observer_.on_end_sent(*stream);
  return 0;
}

ssize_t H2Sending::read_data(nghttp2_session*, int32_t, uint8_t*, size_t size, uint32_t* flags,
                             nghttp2_data_source* source, void* user) {
  H2Stream& stream = *static_cast<H2Stream*>(source->ptr);
  const size_t available = stream.held() + stream.view_.size();
  if (available == 0 && !stream.end_queued_) {
    stream.deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  const size_t n = std::min(size, available);
  if (n != 0) *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (n != available || !stream.end_queued_) return static_cast<ssize_t>(n);
  *flags |= NGHTTP2_DATA_FLAG_EOF;
  if (stream.trailer_bytes_ == 0) return static_cast<ssize_t>(n);
  *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
  if (n == 0) {
    session_of(user).submit_trailers(stream);  // no frame will be made
  } else {
    stream.trailers_due_ = true;
  }
  return static_cast<ssize_t>(n);
}

int H2Sending::send_data(nghttp2_session*, nghttp2_frame*, const uint8_t* frame_header, size_t size,
                         nghttp2_data_source* source, void* user) {
  H2Session& self = session_of(user);
  H2Stream& stream = *static_cast<H2Stream*>(source->ptr);
  // It waited for room, and was reset meanwhile: without its payload the frame must not go.
  if (stream.reset_) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  if (!self.has_room()) return NGHTTP2_ERR_WOULDBLOCK;
  io::Writer& writer = self.writer_;
  writer.append_copy(text(frame_header, kFrameHeader));
  while (size != 0 && stream.held() != 0) {
    const std::string_view piece = stream.held_.front().substr(0, size);
    writer.append_copy(piece);
    size -= piece.size();
    stream.held_.consume(piece.size());
  }
  if (size == 0) return 0;
  const std::string_view piece = stream.view_.substr(0, size);
  piece.size() <= kCopyPayload ? writer.append_copy(piece) : writer.add(piece);
  stream.view_.remove_prefix(size);
  return 0;
}

void H2Session::add_send_callbacks(nghttp2_session_callbacks* table) {
  nghttp2_session_callbacks_set_on_frame_send_callback(table, &H2Sending::on_frame_sent);
  nghttp2_session_callbacks_set_send_data_callback(table, &H2Sending::send_data);
}

}  // namespace pillion::http
