#pragma once
// Times spread at random, so that what began together does not end together.

#include <cstdint>

#include "proxy/base/clock.h"
#include "proxy/base/rng.h"

namespace pillion {

// Up to that many percent more.
inline Duration with_jitter(Duration time, double percent, Rng& rng) noexcept {
  const double most = static_cast<double>(time.count()) * percent / 100;
  return time + Duration(static_cast<int64_t>(rng.below(static_cast<uint64_t>(most) + 1)));
}

}  // namespace pillion
