#pragma once
// Random bytes fit for secrets and for ids that nobody may guess (serial numbers, cookies).
//
// Drawn from BoringSSL's generator in blocks that each thread keeps, so that an id costs tens of
// nanoseconds.  Handed-out bytes are wiped from the block.  Any thread; for jitter and request ids
// use base/rng.h.

#include <cstddef>
#include <cstdint>
#include <span>

namespace pillion::tls {

void random_bytes(std::span<uint8_t> out) noexcept;

}  // namespace pillion::tls
