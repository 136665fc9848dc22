#pragma once
// Random bytes fit for secrets and for ids that nobody may guess (request ids, trace ids, cookies).
//
// Drawn from BoringSSL's generator in blocks that each thread keeps, so that an id costs tens of
// nanoseconds.  Handed-out bytes are wiped from the block.  Any thread; for jitter use base/rng.h.

#include <cstddef>
#include <cstdint>
#include <span>

namespace pillion::tls {

void random_bytes(std::span<uint8_t> out) noexcept;

// A version 4 UUID (RFC 9562) in lower-case hex: 36 characters, not terminated.
inline constexpr size_t kUuidBytes = 36;
void random_uuid(char* out) noexcept;

}  // namespace pillion::tls
