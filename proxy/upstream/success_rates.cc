#include "proxy/upstream/success_rates.h"

#include <cmath>

namespace pillion::upstream {
namespace {

void find_below_average(const std::vector<HostRate>& rates, const OutlierOptions& options,
                        RateVerdict& out) {
  std::vector<const HostRate*> judged;
  double sum = 0;
  for (const HostRate& rate : rates) {
    if (rate.volume < options.success_rate_volume) continue;
    judged.push_back(&rate);
    sum += rate.success;
  }
  if (judged.empty() || judged.size() < options.success_rate_hosts) return;
  const auto n = static_cast<double>(judged.size());
  out.average = sum / n;
  double squares = 0;
  for (const HostRate* rate : judged) squares += std::pow(rate->success - out.average, 2);
  const double factor = options.success_rate_stdev_factor / 1000.0;
  out.threshold = out.average - factor * std::sqrt(squares / n);
  for (const HostRate* rate : judged) {
    if (rate->success < out.threshold) out.below_threshold.push_back(rate->host);
  }
}

void find_failing(const std::vector<HostRate>& rates, const OutlierOptions& options,
                  RateVerdict& out) {
  std::vector<HostId> failing;
  size_t judged = 0;
  for (const HostRate& rate : rates) {
    if (rate.volume < options.failure_percentage_volume) continue;
    ++judged;
    if (100.0 - rate.success >= options.failure_percentage_threshold) failing.push_back(rate.host);
  }
  if (judged > 0 && judged >= options.failure_percentage_hosts) out.failing = std::move(failing);
}

}  // namespace

RateVerdict judge(const std::vector<HostRate>& rates, size_t hosts, const OutlierOptions& options) {
  RateVerdict out;
  if (hosts < options.success_rate_hosts && hosts < options.failure_percentage_hosts) return out;
  find_below_average(rates, options, out);
  find_failing(rates, options, out);
  return out;
}

}  // namespace pillion::upstream
