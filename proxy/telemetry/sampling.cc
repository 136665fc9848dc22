#include "proxy/telemetry/sampling.h"

#include <algorithm>
#include <optional>

#include "proxy/base/ascii.h"
#include "proxy/base/uuid.h"

namespace pillion::telemetry {
namespace {

using http::HeaderId;

constexpr uint32_t kParts = 10'000;
constexpr size_t kReasonAt = 14;  // the version digit of a UUID

// In the order of TraceReason; 4 is what a fresh (version 4) id has.
constexpr char kReasonDigits[] = {'4', '9', 'a', 'b'};

std::optional<uint64_t> number_of(std::string_view id) noexcept {
  if (id.size() < 8) return std::nullopt;
  uint64_t number = 0;
  for (const char c : id.substr(0, 8)) {
    const int digit = hex_digit(c);
    if (digit < 0) return std::nullopt;
    number = number << 4 | static_cast<uint64_t>(digit);
  }
  return number;
}

TraceReason reason_in(std::string_view id) noexcept {
  if (id.size() != kUuidBytes) return TraceReason::kNotTraceable;
  const auto* const at = std::ranges::find(kReasonDigits, id[kReasonAt]);
  return at == std::end(kReasonDigits) ? TraceReason::kNotTraceable
                                       : static_cast<TraceReason>(at - kReasonDigits);
}

void write_reason(http::RequestHead& head, std::string_view id, TraceReason reason) {
  const char digit = kReasonDigits[static_cast<size_t>(reason)];
  if (id.size() != kUuidBytes || id[kReasonAt] == digit) return;
  char* const copy = head.headers.arena().allocate_array<char>(kUuidBytes);
  id.copy(copy, kUuidBytes);
  copy[kReasonAt] = digit;
  head.headers.set(HeaderId::kXRequestId, {copy, kUuidBytes});
}

TraceReason choose_reason(const http::RequestHead& head, TraceReason before, uint64_t number,
                          const SamplingOptions& options, Rng& rng) {
  if (before != TraceReason::kNotTraceable) return before;
  const http::Headers& headers = head.headers;
  if (headers.has(HeaderId::kXClientTraceId) && rng.below(kParts) < options.client)
    return TraceReason::kClientForced;
  // Clients cannot say so: prepare_request() took it away, but of those that are trusted.
  if (headers.has(HeaderId::kXEnvoyForceTrace)) return TraceReason::kServiceForced;
  return number % kParts < options.random ? TraceReason::kSampling : TraceReason::kNotTraceable;
}

}  // namespace

TraceDecision decide_trace(http::RequestHead& head, const TraceContext& parent,
                           const SamplingOptions& options, RequestIdRole role, Rng& rng) {
  const std::string_view id = head.headers.get(HeaderId::kXRequestId);
  const std::optional<uint64_t> number = number_of(id);
  const uint64_t dice = number ? *number : rng.next();
  const bool passes = dice % kParts < options.overall;
  TraceDecision decision;
  if (!role.samples) {
    decision.reason = TraceReason::kSampling;
  } else if (number) {
    const TraceReason before = reason_in(id);
    decision.reason = choose_reason(head, before, *number, options, rng);
    if (!passes) decision.reason = TraceReason::kNotTraceable;
    if (role.carries_reason && decision.reason != before) write_reason(head, id, decision.reason);
  }
  decision.sampled = parent.sampled == Sampled::kUnsaid
                         ? decision.reason != TraceReason::kNotTraceable
                         : parent.sampled == Sampled::kYes && passes;
  return decision;
}

void count_trace(stats::HttpStats& stats, TraceReason reason) noexcept {
  switch (reason) {
    case TraceReason::kNotTraceable:
      return stats.tracing_not_traceable.inc();
    case TraceReason::kSampling:
      return stats.tracing_random_sampling.inc();
    case TraceReason::kServiceForced:
      return stats.tracing_service_forced.inc();
    case TraceReason::kClientForced:
      return stats.tracing_client_enabled.inc();
  }
}

}  // namespace pillion::telemetry
