#include "proxy/base/failure.h"

#include <array>

namespace pillion {
namespace {

constexpr auto kRows = std::to_array<FailureRow>({
#define FAILURE(kind, side, status, flag, retry, details, body) \
  {#kind, FailureSide::side, status, flag, RetryClass::retry, details, body},
#include "proxy/base/failures.inc"
#undef FAILURE
});

}  // namespace

const FailureRow& failure_row(FailureKind kind) noexcept {
  return kRows[static_cast<size_t>(kind)];
}

}  // namespace pillion
