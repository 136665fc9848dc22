#include "proxy/stats/quantile.h"

#include <cmath>

#include "proxy/base/str.h"

namespace pillion::stats {

uint64_t quantile_micros(const HistogramTotals& histogram, double q) {
  const uint64_t total = histogram.count();
  if (total == 0) return 0;
  const double wanted = q * static_cast<double>(total);
  uint64_t below = 0;
  for (size_t i = 0; i < Histogram::kBuckets; ++i) {
    const uint64_t in = histogram.buckets[i];
    if (in == 0 || static_cast<double>(below + in) < wanted) {
      below += in;
      continue;
    }
    const uint64_t low = i == 0 ? 0 : Histogram::kBoundsMicros[i - 1];
    const uint64_t high = i < Histogram::kBoundsMicros.size() ? Histogram::kBoundsMicros[i] : low;
    const double part = (wanted - static_cast<double>(below)) / static_cast<double>(in);
    return low + static_cast<uint64_t>(std::llround(part * static_cast<double>(high - low)));
  }
  return Histogram::kBoundsMicros.back();
}

std::string millis_text(uint64_t micros) {
  std::string out = str(micros / 1000);
  uint64_t rest = micros % 1000;
  if (rest == 0) return out;
  out += '.';
  for (uint64_t unit = 100; rest != 0; unit /= 10) {
    out += static_cast<char>('0' + rest / unit);
    rest %= unit;
  }
  return out;
}

}  // namespace pillion::stats
