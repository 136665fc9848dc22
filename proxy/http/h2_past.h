#pragma once
// H2Past: reads the frame headers that a peer sends, before nghttp2 does, and remembers which
// streams it has ended.  nghttp2 keeps nothing of closed streams and ignores, without a word to us:
//
//   DATA or HEADERS behind a client's END_STREAM     connection error STREAM_CLOSED
//   the same of a server, or behind RST_STREAM       stream error STREAM_CLOSED, said once
//   HEADERS on an id that the client jumped over     connection error PROTOCOL_ERROR
//   PRIORITY on stream 0                             connection error PROTOCOL_ERROR
//
// (RFC 9113, 5.1, 5.1.1, 6.1, 6.3.)  Streams that we reset do not count: their peer may not know
// yet.  Only the last few ends are remembered, and the last jump.  A server keeps its connection,
// as RFC 9113 allows: streams of other clients are on it, and gRPC's C core says some ends twice
// (END_STREAM, RST_STREAM, END_STREAM, RST_STREAM).  Owned by H2Session.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string_view>

namespace pillion::http {

class H2Past {
 public:
  enum class Verdict : uint8_t { kFine, kStreamClosed, kProtocol };
  struct Found {
    size_t fine = 0;                   // bytes before the frame that ends the connection, or all
    Verdict verdict = Verdict::kFine;  // on that frame
    int32_t reset = 0;                 // else: the last stream that is to be reset by STREAM_CLOSED
  };

  // `preface`: bytes that come before the first frame.
  H2Past(bool is_server, size_t preface) noexcept
      : skip_(static_cast<uint32_t>(preface)), is_server_(is_server) {}

  // The next piece of what the peer sends.
  Found scan(std::string_view bytes) noexcept {
    Found found{bytes.size()};
    for (size_t at = 0; next(bytes, &at);) {
      found.verdict = judge(&found.reset);
      if (found.verdict == Verdict::kFine) continue;
      found.fine = at > kHeader ? at - kHeader : 0;
      break;
    }
    return found;
  }

 private:
  static constexpr size_t kHeader = 9;
  static constexpr uint8_t kRemembered = 4;
  static constexpr uint8_t kHeaders = 1, kPriority = 2, kReset = 3;  // and DATA is 0
  static constexpr uint8_t kEndStream = 1;

  // Moves `*at` behind the next frame header; false if that does not end in `bytes`.
  bool next(std::string_view bytes, size_t* at) noexcept {
    const size_t skipped = std::min<size_t>(skip_, bytes.size() - *at);
    skip_ -= static_cast<uint32_t>(skipped);
    *at += skipped;
    const size_t n = std::min(kHeader - have_, bytes.size() - *at);
    if (n == 0) return false;
    std::memcpy(header_ + have_, bytes.data() + *at, n);
    *at += n;
    have_ = static_cast<uint8_t>(have_ + n);
    if (have_ < kHeader) return false;
    have_ = 0;
    skip_ = uint32_t{header_[0]} << 16 | uint32_t{header_[1]} << 8 | header_[2];
    return true;
  }

  Verdict judge(int32_t* reset) noexcept {
    const uint8_t type = header_[3];
    if (type > kReset) return Verdict::kFine;
    const uint32_t word = (header_[5] & 0x7fu) << 24 | uint32_t{header_[6]} << 16 |
                          uint32_t{header_[7]} << 8 | header_[8];
    const auto id = static_cast<int32_t>(word);
    if (id == 0) return type == kPriority ? Verdict::kProtocol : Verdict::kFine;
    if (type == kPriority) return Verdict::kFine;
    if (type == kReset) return remember_reset(id);
    if (type == kHeaders && is_server_) {
      if (id > jumped_from_ && id < jumped_to_) return Verdict::kProtocol;
      open(id);
    }
    for (int32_t& over : over_) {
      if (over != id && over != -id) continue;
      if (over == id && is_server_) return Verdict::kStreamClosed;
      over = 0;
      *reset = id;
      return Verdict::kFine;
    }
    return (header_[4] & kEndStream) != 0 ? remember(id) : Verdict::kFine;
  }

  void open(int32_t id) noexcept {
    if (id <= last_) return;
    if (id > last_ + 2) {
      jumped_from_ = last_;
      jumped_to_ = id;
    }
    last_ = id;
  }

  Verdict remember_reset(int32_t id) noexcept {
    int32_t* const ended = std::find(std::begin(over_), std::end(over_), id);
    if (ended == std::end(over_)) return remember(-id);
    *ended = -id;
    return Verdict::kFine;
  }

  Verdict remember(int32_t id) noexcept {
    over_[next_] = id;
    next_ = static_cast<uint8_t>((next_ + 1) % kRemembered);
    return Verdict::kFine;
  }

  int32_t over_[kRemembered] = {};  // ids that the peer ended; negative: by RST_STREAM
  int32_t last_ = -1;               // the highest id that the client opened; the first is 1
  int32_t jumped_from_ = 0;         // between these two none was opened
  int32_t jumped_to_ = 0;
  uint32_t skip_;                 // bytes until the next frame header
  uint8_t header_[kHeader] = {};  // as much of it as has come
  uint8_t have_ = 0;
  uint8_t next_ = 0;
  bool is_server_;
};

}  // namespace pillion::http
