#pragma once
// What a peer may make an HTTP/2 session do for nothing, in numbers, and the bucket that counts it.
//
// Three bounds hold for every session, whatever its peer sends:
//
//   work in a turn   kFramesPerTurn frames and kStreamsPerTurn new streams, then other connections
//                    of the worker come first.  The input is cut into slices, at whose ends it may
//                    stop; who went beyond a turn's budget gets small slices from then on, and all
//                    of them share a turn.
//   work for nothing frames that move nothing (PING, SETTINGS, GOAWAY, unknown ones, frames of
//                    streams that are over) and resets come from buckets; who empties one is cut
//                    off with ENHANCE_YOUR_CALM (H2Flood says which).
//   memory           h2_memory_bound()

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "proxy/base/clock.h"
#include "proxy/http/h2_options.h"
#include "proxy/http/limits.h"

namespace pillion::http {

inline constexpr uint32_t kFramesPerTurn = 1000;
inline constexpr uint32_t kStreamsPerTurn = 64;
// What a connection has of a turn's budget, whatever others that spend theirs have taken of it.
inline constexpr uint32_t kLeastFramesPerTurn = 250;
inline constexpr uint32_t kLeastStreamsPerTurn = 16;
// A large head costs as one more stream for each of these.
inline constexpr size_t kHeadBytesAStream = 1024;
// Of a connection that is over so many streams end in a turn: each may end an upstream's, too.
inline constexpr uint32_t kEndsPerTurn = 32;
// What a turn's budget left over is worked through in pieces of this size.
inline constexpr size_t kRestPiece = 64 * 1024;
inline constexpr size_t kFirstSliceBytes = 16 * 1024;
inline constexpr size_t kSliceBytes = 64 * 1024;
inline constexpr size_t kWarySliceBytes = 4 * 1024;
// Turns within the budget until a connection that spent it is trusted again.
inline constexpr uint8_t kWaryTurns = 16;
// The reset of a running stream ends all that was begun for it: HAProxy's lesson (peers.md 2.2).
inline constexpr uint32_t kFramesOfAReset = 16;

// Frames that move nothing.  gRPC measures the bandwidth by a PING each round trip while DATA
// moves, and what is on its way to a stream that we reset may be a window of small frames: so what
// moves earns more.
inline constexpr uint32_t kIdleFrameBurst = 10'000;
inline constexpr uint32_t kIdleFrameRate = 1'000;  // a second
// For these nghttp2 goes through all streams, each of which costs as one frame more.
inline constexpr uint32_t kCostOfSettings = 100;
constexpr uint32_t cost_of_settings(uint32_t open_streams) noexcept {
  return kCostOfSettings + std::min(open_streams, kIdleFrameBurst / 5);
}
// Requests that were answered earn a client's resets beyond their rate: deadlines of busy gateways.
inline constexpr uint32_t kServedForAReset = 16;
// nghttp2 tells nothing of what it drops (frames of unknown types, DATA of streams that are over),
// but it shows in the number of bytes: so many cost as one frame.
inline constexpr uint32_t kIgnoredBytesAFrame = 1024;

// A token bucket that asks for the time only when it seems empty, so that to take from it is a
// comparison and a subtraction.  Small: every connection has two, for ever.
class H2Bucket {
 public:
  struct Size {
    uint32_t burst;
    uint32_t rate;  // a second
  };
  H2Bucket(uint32_t burst, Instant now) noexcept : left_(burst), filled_(millis_of(now)) {}

  [[nodiscard]] bool take(uint32_t n) noexcept {
    if (left_ < n) return false;
    left_ -= n;
    return true;
  }
  // After take() said no: what the time since the last call has brought is added, and `earned`.
  [[nodiscard]] bool refill_and_take(uint32_t n, Size size, Instant now,
                                     uint64_t earned = 0) noexcept {
    const uint64_t millis = millis_of(now) - filled_;
    filled_ = millis_of(now);
    const uint64_t sum = left_ + millis * size.rate / 1000 + earned;
    left_ = static_cast<uint32_t>(std::min<uint64_t>(sum, size.burst));
    return take(n);
  }

 private:
  // Comes round after 49 days, of which some are forgotten then.
  static uint32_t millis_of(Instant now) noexcept {
    return static_cast<uint32_t>(to_millis(now.time_since_epoch()));
  }
  uint32_t left_;
  uint32_t filled_;
};

// A header block may unpack to so much, each field counted with 32 bytes (RFC 9113, 6.5.2).  It is
// more than any block says that is not made to unpack to more than it is: HPACK's bombs.
constexpr size_t max_unpacked_block(const H2Options& options) noexcept {
  return std::max<size_t>(256 * 1024, 4 * size_t{options.max_head_bytes});
}
// Frames of a block behind its HEADERS: nghttp2's default, and what a head of the size that is
// allowed may need.
constexpr size_t max_continuations(const H2Options& options) noexcept {
  return std::max<size_t>(8, options.max_head_bytes / 16384 + 1);
}

// What one connection of a client can make a worker keep, in bytes.
//
//   for the connection   what a turn left over of one read (256 KiB), what waits for the transport
//                        (64 KiB, and a piece of 256 KiB), both HPACK tables, the connection's
//                        window and the half that is lent: bodies that are held up anywhere
//   for each stream      its objects (4 KiB with nghttp2's), a request's and a response's head,
//                        trailers both ways, a piece of a request's body on its way up, and a
//                        response's that the client does not take (kHeldLimit, and the piece of
//                        48 KiB that was too much; only who took a MiB of it gets larger ones)
//
// With the defaults of the reference: 25 MiB, and 302 KiB for each of 1,024 streams.  Who
// serves strangers sets max_concurrent_streams to 100 (54 MiB); see "edge" in envoy.md 6.2.
// tests/unit/http/h2_memory_test.cc drives a connection there and compares.
constexpr size_t h2_memory_bound(const H2Options& options, const H1Limits& limits) noexcept {
  constexpr size_t kKiB = 1024;
  const size_t connection = 256 * kKiB + (64 + 256) * kKiB + 4 * size_t{options.hpack_table_size} +
                            options.connection_window + options.connection_window / 2;
  const size_t heads = 2 * size_t{limits.max_bytes} + 2 * size_t{kMaxTrailerBytes};
  const size_t stream = 4 * kKiB + heads + (32 + 17) * kKiB + (32 + 48 + 17) * kKiB;
  return connection + options.max_concurrent_streams * stream;
}

}  // namespace pillion::http
