#include "certs/renewal.h"

#include <algorithm>

#include "proxy/base/jitter.h"

namespace pillion::certs {

Duration until_renewal(WallTime now, WallTime not_before, WallTime not_after, Rng& rng) noexcept {
  const Duration life = not_after - not_before;
  if (life <= Duration{}) return kSoonest;
  const auto most = static_cast<uint64_t>(std::max<int64_t>((life / 10).count(), 1));
  const WallTime due = not_before + life / 2 - Duration(static_cast<int64_t>(rng.below(most)));
  return std::max<Duration>(due - now, kSoonest);
}

Duration until_retry(const Backoff& backoff, uint32_t failures, Rng& rng) noexcept {
  return full_jitter(backoff.base, backoff.longest, failures, rng);
}

void Renewal::succeeded(WallTime now, WallTime not_before, WallTime not_after) {
  failures_ = 0;
  const Duration wait = until_renewal(now, not_before, not_after, rng_);
  due_ = loop_.now() + wait;
  wall_due_ = now + wait;
  arm();
}

void Renewal::failed() {
  ++failures_;
  const Duration wait = until_retry(backoff_, failures_, rng_);
  due_ = loop_.now() + wait;
  wall_due_ = clock_() + wait;
  arm();
}

void Renewal::arm() {
  const Duration left = std::min(due_ - loop_.now(), wall_due_ - clock_());
  loop_.arm(timer_, std::clamp<Duration>(left, Duration{}, kLongestSleep));
}

void Renewal::on_timer() {
  if (loop_.now() < due_ && clock_() < wall_due_) return arm();
  task_.on_renewal_due();
}

}  // namespace pillion::certs
