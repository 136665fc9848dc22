#pragma once
// Times spread at random, so that what began together does not end together.

#include <algorithm>
#include <cstdint>

#include "proxy/base/clock.h"
#include "proxy/base/rng.h"

namespace pillion {

// Up to that many percent more.
inline Duration with_jitter(Duration time, double percent, Rng& rng) noexcept {
  const double most = static_cast<double>(time.count()) * percent / 100;
  return time + Duration(static_cast<int64_t>(rng.below(static_cast<uint64_t>(most) + 1)));
}

// A wait that doubles with each failure in a row from `base` (the first one) to `longest`, and of
// that a random part: whoever comes back is not overrun.
inline Duration full_jitter(Duration base, Duration longest, uint32_t failures, Rng& rng) noexcept {
  Duration limit = base;
  for (uint32_t i = 1; i < failures && limit < longest; ++i)
    limit = limit > longest / 2 ? longest : 2 * limit;
  limit = std::min(limit, longest);
  return Duration(static_cast<int64_t>(rng.below(static_cast<uint64_t>(limit.count()))));
}

}  // namespace pillion
