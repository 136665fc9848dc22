#pragma once
// VerifyCache: the chains that one thread has verified; see verify.h.  A fixed number of slots,
// each holding the latest chain that hashes there: no list to trim, no growth under attack (only
// chains that passed get in).

#include <array>
#include <cstring>
#include <memory>

#include "proxy/tls/verify.h"

namespace pillion::tls {

class VerifyCache {
 public:
  static constexpr size_t kSlots = 256;
  static VerifyCache& of_thread() {
    thread_local VerifyCache cache;
    return cache;
  }

  const PeerFacts* find(const Sha256& key, int64_t now) {
    const Entry* e = slot(key).get();
    if (e == nullptr || e->key != key) return nullptr;
    if (now < e->facts.valid_from || now >= e->facts.valid_until) return nullptr;
    ++hits;
    return &e->facts;
  }
  const PeerFacts* put(const Sha256& key, PeerFacts facts) {
    std::unique_ptr<Entry>& s = slot(key);
    if (s == nullptr) ++used;
    s = std::make_unique<Entry>(Entry{key, std::move(facts)});
    return &s->facts;
  }
  // For the caller alone, until the next one.
  const PeerFacts* lend(PeerFacts facts) {
    lent_ = std::move(facts);
    return &lent_;
  }
  uint64_t hits = 0;
  size_t used = 0;

 private:
  struct Entry {
    Sha256 key;
    PeerFacts facts;
  };
  std::unique_ptr<Entry>& slot(const Sha256& key) noexcept {
    size_t index;
    std::memcpy(&index, key.data(), sizeof index);
    return slots_[index % kSlots];
  }
  std::array<std::unique_ptr<Entry>, kSlots> slots_;
  PeerFacts lent_;
};

}  // namespace pillion::tls
