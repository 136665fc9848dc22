#pragma once
// Quantiles of a histogram, as /stats shows them.

#include <array>
#include <string>

#include "proxy/stats/registry.h"

namespace pillion::stats {

inline constexpr std::array<double, 10> kQuantiles = {0,    0.25, 0.5,   0.75,  0.9,
                                                      0.95, 0.99, 0.995, 0.999, 1};
// "0" "25" ... "99.5" "100"
inline constexpr std::array<std::string_view, 10> kQuantileNames = {
    "0", "25", "50", "75", "90", "95", "99", "99.5", "99.9", "100"};

// The value below which the part `q` of all samples lies, in microseconds, by linear interpolation
// within its bucket; the last bucket ends at its lower bound.  0 for an empty histogram.
uint64_t quantile_micros(const HistogramTotals& histogram, double q);

// 1500 -> "1.5": microseconds as milliseconds, without useless zeros.
std::string millis_text(uint64_t micros);

}  // namespace pillion::stats
