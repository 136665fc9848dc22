#pragma once
// Ids of requests and log lines.

#include <cstddef>

#include "proxy/base/rng.h"

namespace pillion {

inline constexpr size_t kUuidBytes = 36;
// A random (version 4, RFC 9562) UUID in lower-case hex; `out` has room for kUuidBytes, no NUL is
// written.  No secret: who has seen enough of them can tell the next.
void write_uuid(char* out, Rng& rng) noexcept;

}  // namespace pillion
