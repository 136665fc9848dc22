#include "proxy/http/h2_keepalive.h"

#include <algorithm>

#include "proxy/base/jitter.h"
#include "proxy/http/h2_codec.h"

namespace pillion::http {

H2Keepalive::H2Keepalive(io::Loop& loop, H2Session& session, const H2Options& options,
                         io::Timer::Callback callback, void* connection) noexcept
    : loop_(loop),
      session_(session),
      timer_(callback, connection),
      rng_(reinterpret_cast<uintptr_t>(this) ^
           static_cast<uint64_t>(loop.now().time_since_epoch().count())),
      interval_(options.ping_interval),
      timeout_(options.ping_timeout),
      after_idle_(options.ping_after_idle),
      jitter_percent_(std::min(options.ping_jitter_percent, 100u)) {}

void H2Keepalive::start() {
  heard_ = loop_.now();
  arm();
}

void H2Keepalive::arm() {
  if (interval_ != Duration{}) loop_.arm(timer_, with_jitter(interval_, jitter_percent_, rng_));
}

bool H2Keepalive::on_new_stream() {
  if (after_idle_ == Duration{} || waiting_ || loop_.now() - heard_ <= after_idle_) return false;
  ping();
  return true;
}

void H2Keepalive::on_bytes() {
  heard_ = loop_.now();
  if (waiting_) loop_.arm(timer_, timeout_);
}

void H2Keepalive::on_ack(uint64_t opaque) {
  if (opaque != sent_) return;
  waiting_ = false;
  timer_.cancel();
  arm();
}

bool H2Keepalive::on_timer() {
  if (waiting_) return false;
  ping();
  return true;
}

void H2Keepalive::ping() {
  waiting_ = true;
  session_.ping(++sent_);
  loop_.arm(timer_, timeout_);
}

}  // namespace pillion::http
