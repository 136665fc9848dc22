#pragma once
// Fast random numbers for balancing and jitter (xoshiro256**; Blackman and Vigna, public domain
// algorithm).  Not for secrets: those come from tls/.  One per worker, not thread-safe.

#include <cstdint>

namespace pillion {

class Rng {
 public:
  explicit Rng(uint64_t seed) noexcept {
    for (uint64_t& word : state_) {  // splitmix64 spreads a small seed
      seed += 0x9e3779b97f4a7c15ULL;
      uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
      word = z ^ (z >> 31);
    }
  }
  uint64_t next() noexcept {
    const uint64_t result = rotl(state_[1] * 5, 7) * 9;
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotl(state_[3], 45);
    return result;
  }
  // Uniform in [0, bound); 0 for bound 0.
  uint64_t below(uint64_t bound) noexcept {
    return static_cast<uint64_t>((static_cast<Uint128>(next()) * bound) >> 64);
  }

 private:
  __extension__ typedef unsigned __int128 Uint128;
  static constexpr uint64_t rotl(uint64_t x, int k) noexcept { return (x << k) | (x >> (64 - k)); }
  uint64_t state_[4];
};

}  // namespace pillion
