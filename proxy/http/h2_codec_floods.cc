// H2Session, the part that counts what a peer makes it do for nothing (h2_budget.h).
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <utility>

#include "proxy/http/h2_codec.h"
#include "proxy/io/writer.h"

namespace pillion::http {
namespace {

// A header block of a stream that is over is unpacked all the same.
constexpr size_t kStrayBytesAFrame = 256;
constexpr size_t kListOverhead = 32;  // RFC 9113, 6.5.2
// However long a connection lives, it earns no more.
constexpr uint32_t kMaxCredit = 100'000;

}  // namespace

void H2Session::earn_window_updates(uint32_t more) {
  window_update_credit_ = std::min(kMaxCredit, window_update_credit_ + more);
}

// Of either side's: each earns the peer some frames.
void H2Session::count_stream() {
  ++streams_opened_;
  ++open_streams_;
  moved_ += 8;
  priority_credit_ = std::min(kMaxCredit, priority_credit_ + kept_.max_priority_frames_per_stream);
  earn_window_updates(2);
}

// A client that makes us reset streams all the time is as costly as one that resets them itself.
void H2Session::count_reset() {
  if (reset_credit_ != 0) {
    --reset_credit_;
  } else {
    end_flood(H2Flood::kOwnResets);
  }
}

// Of a stream that never began.  Not first when its RST_STREAM is sent: nothing else bounds how
// many of them wait for that.
void H2Session::count_refusal() {
  if (role_ != Role::kServer || is_deaf()) return;
  observer_.on_stream_refused();
  count_reset();
}

void H2Session::count_ignored(size_t received) {
  constexpr auto kEach = static_cast<int32_t>(kIgnoredBytesAFrame);
  ignored_ += static_cast<int32_t>(received);
  if (ignored_ < kEach) [[likely]]
    return;
  const auto cost = static_cast<uint32_t>(ignored_ / kEach);
  ignored_ %= kEach;
  // They may have been of 9 bytes each, or of 16 KiB.
  turn_->frames_left -= std::min(turn_->frames_left, 16 * cost);
  const uint32_t excused = std::min(cost, excused_);
  excused_ -= excused;
  if (!dead_ && cost != excused) spend(cost - excused, H2Flood::kIgnoredFrames);
}

// What was on its way when we reset a stream is not the server's fault.
void H2Session::excuse() {
  const uint32_t most = 2 * (kept_.connection_window / kIgnoredBytesAFrame);
  excused_ = std::min(excused_ + kept_.stream_window / kIgnoredBytesAFrame, most);
}

void H2Session::end_flood(H2Flood kind) {
  if (flood_ != H2Flood::kNone || stopped_) return;
  flood_ = kind;
  error_ = H2Error::kEnhanceYourCalm;
  nghttp2_session_terminate_session(awake(), NGHTTP2_ENHANCE_YOUR_CALM);
}

// Neither payload nor an end.
void H2Session::count_empty_frame() {
  if (++empty_frames_ > kept_.max_empty_frames) end_flood(H2Flood::kEmptyFrames);
}

void H2Session::count_idle_frame(uint8_t type) {
  switch (type) {
    case NGHTTP2_PING:
      return spend(1, H2Flood::kPing);
    case NGHTTP2_SETTINGS:
      return spend(cost_of_settings(open_streams_), H2Flood::kSettings);
    case NGHTTP2_GOAWAY:
      return spend(cost_of_settings(open_streams_), H2Flood::kGoaway);
    default:
      return spend(1, H2Flood::kIgnoredFrames);
  }
}

// Of a stream that is over, or one that we never took: the peer may not know it yet.  A stream that
// it is about to open is not known either.
void H2Session::count_stray_frame(uint8_t type, int32_t stream, size_t payload) {
  switch (type) {
    case NGHTTP2_HEADERS:
      if (role_ == Role::kServer && stream > last_begun_ && !refusing_) return;
      [[fallthrough]];
    case NGHTTP2_CONTINUATION:
      return spend(static_cast<uint32_t>(1 + payload / kStrayBytesAFrame), H2Flood::kIgnoredFrames);
    case NGHTTP2_DATA:
    case NGHTTP2_RST_STREAM:
      return spend(1, H2Flood::kIgnoredFrames);
    default:
      return;  // the credits of PRIORITY and WINDOW_UPDATE
  }
}

void H2Session::spend(uint32_t cost, H2Flood kind) {
  if (is_deaf()) return;
  if (idle_frames_.take(cost)) [[likely]]
    return;
  const uint32_t earned = std::exchange(moved_, 0);
  if (!idle_frames_.refill_and_take(cost, {kIdleFrameBurst, kIdleFrameRate}, writer_.now(), earned))
    end_flood(kind);
}

// A client's; a server has no more streams to reset than we open, and more frames are stray ones.
void H2Session::count_reset_frame() {
  turn_->frames_left -= std::min(turn_->frames_left, kFramesOfAReset);
  if (role_ != Role::kServer || resets_.take(1)) return;
  const H2Bucket::Size size{kept_.stream_reset_burst, kept_.stream_reset_rate};
  const uint32_t earned = std::exchange(served_, 0) / kServedForAReset;
  if (!resets_.refill_and_take(1, size, writer_.now(), earned)) end_flood(H2Flood::kResets);
}

void H2Session::count_head() {
  const auto more = static_cast<uint32_t>(unpacked_ / kHeadBytesAStream);
  turn_->begins_left -= std::min(turn_->begins_left, more);
}

// Whether or not anybody keeps it.
void H2Session::count_unpacked(size_t bytes) {
  unpacked_ += static_cast<uint32_t>(bytes + kListOverhead);
  if (unpacked_ > kept_.max_unpacked) [[unlikely]]
    end_flood(H2Flood::kHeaderList);
}

}  // namespace pillion::http
