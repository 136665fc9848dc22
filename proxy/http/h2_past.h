#pragma once
// H2Past: what a session remembers of streams that are over or were never opened, to tell a frame
// that crossed one of ours from one that the peer had no right to send (RFC 9113, 5.1 and 5.1.1):
//
//   DATA or HEADERS behind the peer's END_STREAM     connection error STREAM_CLOSED
//   DATA or HEADERS behind the peer's RST_STREAM     stream error STREAM_CLOSED, said once
//   HEADERS on an id that the peer jumped over       connection error PROTOCOL_ERROR
//
// Of a stream that we reset nothing is kept: its peer may not know yet, so its frames are ignored.
// The same goes for streams that have been over for long: only the last few are remembered, and the
// last jump.  Owned by H2Session; asked only about frames of streams that nghttp2 does not know.

#include <cstdint>

namespace pillion::http {

class H2Past {
 public:
  enum class Verdict : uint8_t { kIgnore, kStreamClosed, kConnectionClosed, kNeverOpened };

  // HEADERS came on a stream of the peer's; ids may be told again.
  void on_opened(int32_t id) noexcept {
    if (id <= last_) return;
    if (id > last_ + 2) {
      jumped_from_ = last_;
      jumped_to_ = id;
    }
    last_ = id;
  }

  // A stream is over, of whose ends the peer's was END_STREAM, or RST_STREAM.
  void on_ended(int32_t id) noexcept { remember(id); }
  void on_reset(int32_t id) noexcept { remember(-id); }

  [[nodiscard]] Verdict judge_data(int32_t id) noexcept {
    for (int32_t& over : over_) {
      if (over == id) return Verdict::kConnectionClosed;
      if (over != -id) continue;
      over = 0;
      return Verdict::kStreamClosed;
    }
    return Verdict::kIgnore;
  }
  // To be asked before on_opened().
  [[nodiscard]] Verdict judge_headers(int32_t id) noexcept {
    return id > jumped_from_ && id < jumped_to_ ? Verdict::kNeverOpened : judge_data(id);
  }

 private:
  static constexpr uint8_t kRemembered = 4;

  void remember(int32_t id) noexcept {
    over_[next_] = id;
    next_ = static_cast<uint8_t>((next_ + 1) % kRemembered);
  }

  int32_t over_[kRemembered] = {};  // ids; negative: by RST_STREAM
  int32_t last_ = -1;               // the highest id that the peer opened; the first may be 1
  int32_t jumped_from_ = 0;         // between these two none was opened
  int32_t jumped_to_ = 0;
  uint8_t next_ = 0;
};

}  // namespace pillion::http
