#pragma once
// H2Keepalive: what connection_keepalive asks of an HTTP/2 connection, be it a client's or one to
// an upstream: a PING each interval, and perhaps one in front of a stream behind a pause, whose
// answer, or other bytes, must come within the timeout (envoy.md 1.4).
//
// A member of the connection, which has one only where it is configured, tells it what happens, and
// sends what it queues: true says that there is a PING to send.  The session outlives it.
//
// Calls match: start (on_new_stream | on_bytes | on_ack | on_timer)*.

#include <cstdint>

#include "proxy/base/clock.h"
#include "proxy/base/rng.h"
#include "proxy/http/h2_options.h"
#include "proxy/io/loop.h"

namespace pillion::http {

class H2Session;

class H2Keepalive {
 public:
  [[nodiscard]] static bool is_wanted(const H2Options& options) noexcept {
    return options.ping_interval != Duration{} || options.ping_after_idle != Duration{};
  }

  // `callback` of the connection calls on_timer().  The options are copied.
  H2Keepalive(io::Loop& loop, H2Session& session, const H2Options& options,
              io::Timer::Callback callback, void* connection) noexcept;

  // The connection stands.
  void start();
  // We open a stream: on a connection that may have died unnoticed.
  [[nodiscard]] bool on_new_stream();
  // What comes at all shows that the peer is there.
  void on_bytes();
  void on_ack(uint64_t opaque);
  // Of the connection's callback.  False: the peer is gone, end the connection.
  [[nodiscard]] bool on_timer();

 private:
  void arm();
  void ping();

  io::Loop& loop_;
  H2Session& session_;
  io::Timer timer_;
  Rng rng_;
  const Duration interval_;
  const Duration timeout_;
  const Duration after_idle_;
  const uint32_t jitter_percent_;
  Instant heard_{};    // when bytes came last
  uint64_t sent_ = 0;  // the opaque number of the last
  bool waiting_ = false;
};

}  // namespace pillion::http
