#pragma once
// Failure: why a connection, stream or attempt did not succeed.  A small copyable value; all that
// follows from a kind (status, flag, retry class, texts) stands in its row of failures.inc.

#include <cstdint>
#include <string_view>

namespace pillion {

enum class FailureKind : uint8_t {
#define FAILURE(kind, side, status, flag, retry, details, body) kind,
#include "proxy/base/failures.inc"
#undef FAILURE
};

enum class FailureSide : uint8_t { downstream, upstream, internal };
// never: not without the client; connect: nothing was sent; reset: may have been seen by the peer;
// refused: the peer says that it did nothing (REFUSED_STREAM).
enum class RetryClass : uint8_t { never, connect, reset, refused };

struct FailureRow {
  std::string_view name;
  FailureSide side;
  uint16_t status;
  std::string_view flag;
  RetryClass retry;
  std::string_view details;
  std::string_view body;
};

const FailureRow& failure_row(FailureKind kind) noexcept;

struct Failure {
  FailureKind kind = FailureKind::kNone;
  // errno, TLS alert or another number that says more; 0 for none.
  int32_t detail = 0;

  [[nodiscard]] const FailureRow& row() const noexcept { return failure_row(kind); }
  explicit operator bool() const noexcept { return kind != FailureKind::kNone; }
};

}  // namespace pillion
