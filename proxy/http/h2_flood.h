#pragma once
// Why an HTTP/2 session ended itself because of what its peer sent: the attacks that it knows, and
// the counter of each.  All end the connection with ENHANCE_YOUR_CALM.

#include <cstdint>

#include "proxy/stats/counter.h"

namespace pillion::http {

enum class H2Flood : uint8_t {
  kNone,
  kEmptyFrames,    // CVE-2019-9518
  kPriority,       // CVE-2019-9513
  kWindowUpdate,   // CVE-2019-9517
  kResets,         // by the client: CVE-2023-44487
  kOwnResets,      // by us, provoked: CVE-2025-8671
  kPrematureEnds,  // requests given up before there was an answer; the owner counts it
  kOutbound,       // acknowledgements that are not taken: CVE-2019-9512, CVE-2019-9515
  kPing,
  kSettings,
  kGoaway,
  kIgnoredFrames,  // of unknown types, and of streams that are over
  kContinuation,   // CVE-2024-28182
  kHeaderList,     // a header block that unpacks to much more than we take
};

// Of http2.* or cluster.<name>.http2.*.  Null: the owner of the connection counts; or an upstream
// cannot do it, for it has only the streams that we open (what it says of others is stray).
template <typename Stats>
stats::Counter* counter_of(Stats& stats, H2Flood flood) noexcept {
  switch (flood) {
    case H2Flood::kNone:
    case H2Flood::kPrematureEnds:
      return nullptr;
    case H2Flood::kEmptyFrames:
      return &stats.inbound_empty_frames_flood;
    case H2Flood::kPriority:
      return &stats.inbound_priority_frames_flood;
    case H2Flood::kWindowUpdate:
      return &stats.inbound_window_update_frames_flood;
    case H2Flood::kResets:
      if constexpr (requires { stats.inbound_reset_flood; }) return &stats.inbound_reset_flood;
      return nullptr;
    case H2Flood::kOwnResets:
      if constexpr (requires { stats.reset_flood; }) return &stats.reset_flood;
      return nullptr;
    case H2Flood::kOutbound:
      return &stats.outbound_control_flood;
    case H2Flood::kPing:
      return &stats.inbound_ping_flood;
    case H2Flood::kSettings:
      return &stats.inbound_settings_flood;
    case H2Flood::kGoaway:
      return &stats.inbound_goaway_flood;
    case H2Flood::kIgnoredFrames:
      return &stats.inbound_ignored_frames_flood;
    case H2Flood::kContinuation:
      return &stats.inbound_continuation_flood;
    case H2Flood::kHeaderList:
      return &stats.inbound_header_list_flood;
  }
  return nullptr;
}

}  // namespace pillion::http
